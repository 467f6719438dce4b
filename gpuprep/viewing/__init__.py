"""Looking at one input or one stored case: what there is to say, as a value, a page and a picture."""

from gpuprep.viewing.subject import Channel, Inspection, LabelMap, inspect_path

__all__ = ["Channel", "Inspection", "LabelMap", "inspect_path"]
