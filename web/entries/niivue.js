// NiiVue draws planes. Its own reader of Zarr is left out: it takes float16 for uint8 and mirrors LPS.
export { DRAG_MODE, MULTIPLANAR_TYPE, NVImage, Niivue, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
