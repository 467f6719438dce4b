"""A CUDA whose devices are this CPU, under the real CuPy: what no machine without a GPU could run otherwise.

One command builds it, and runs what needs a device over it:

    python tests/device/cpucuda                       # all such tests
    python tests/device/cpucuda tests/device -k slots # any pytest arguments
    GPUPREP_SEEDS=20 python tests/device/cpucuda      # 20 orders of streams instead of 3, every allocation

It wants g++ on x86-64 Linux, and ``gpuprep[test,kernels]``; the rest comes through pip: CuPy's sdist, Cython,
and CUDA's headers where no toolkit has them. Without them the command says NOT INSTALLED, and what. Tests get
at it with the fixture ``cpucuda``, and are marked so. Processes that they start run over it, too.

Only CuPy's thin binding ``cupy_backends.cuda.api.runtime`` is rebuilt, from CuPy's own sdist, against the
library in ``src/``; all else is the installed wheel, and NVRTC compiles as ever. A kernel's cubin is not
run: the source that it came from runs through ``tests/kernels/cuda_on_cpu``.

What it does that a GPU may do, and seldom does:

- **Streams run late**: work happens when something waits for it, and no earlier. With ``eager`` above 0, a
  seeded choice of unordered work happens before, in random order between streams. Order is kept within a
  stream, at events, and between the legacy default stream and blocking streams, and nowhere else.
- **Device memory is not the host's**: it faults unless the device works at that moment. New memory, of
  the device and pinned, is full of 0xCB.
- **Pinned copies happen late**, so a source written again too early arrives changed. Pageable memory is
  staged before the call returns, as CUDA documents.
- **Memory ends**: of every device, and pinned. Any call fails at its n-th time with any status; a sticky
  status stays with its device, and no other does.
- **Devices are apart**: streams, memory, modules and sticky statuses belong to one. What would be an error
  of CUDA is one here; what no program may do is a complaint besides, and fails the test.

Not modelled: time, memory ordering within a kernel, more than 48 KiB of shared memory, graphs, peer access,
CUDA's own memory pools, and whatever of CuPy launches kernels other than fill, copy, equal and not_equal.
"""
