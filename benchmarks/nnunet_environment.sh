#!/usr/bin/env bash
# Makes an environment with nnU-Net 2.8.1 on CPU's PyTorch, to compare with and to train in:
#
#     bash benchmarks/nnunet_environment.sh FOLDER
#
# nnU-Net's own requirements pull in a PyTorch with gigabytes of CUDA libraries, so what it needs is named here.
# gpuprep goes in as well, from this tree. A folder that has it all already is left alone.
set -euo pipefail
folder=${1:?the folder of the environment}
tree=$(cd "$(dirname "$0")/.." && pwd)
check='import nnunetv2.training.nnUNetTrainer.nnUNetTrainer, gpuprep'

if [ ! -x "$folder/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$folder"
fi
python=$folder/bin/python
if ! "$python" -c "$check" 2> "$folder/check.txt"; then
  pip=("$python" -m pip install --quiet)
  echo "torch==2.13.0" > "$folder/constraints.txt"
  "${pip[@]}" "setuptools>=77" numpy
  "${pip[@]}" --no-deps torch==2.13.0
  "${pip[@]}" --no-deps nnunetv2==2.8.1 batchgenerators==0.25.5 batchgeneratorsv2==0.3.6 \
    acvl-utils==0.2.6 dynamic-network-architectures==0.4.4 timm==1.0.22
  "${pip[@]}" -c "$folder/constraints.txt" filelock typing-extensions sympy networkx jinja2 fsspec \
    blosc2 connected-components-3d dicom2nifti einops future graphviz imagecodecs matplotlib nibabel \
    pandas requests scikit-image scikit-learn scipy seaborn SimpleITK tifffile tqdm unittest2 yacs
  "${pip[@]}" -e "$tree"
  "$python" -c "$check"
fi
"$python" -c 'import importlib.metadata as m; print("nnunetv2", m.version("nnunetv2"), "torch", m.version("torch"))'
echo "$python"
