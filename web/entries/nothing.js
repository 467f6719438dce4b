// Stands where NiiVue would bring a second copy of a library that gpuprep's pages do not use through it.
export const FetchStore = null, open = null, root = null, get = null, slice = null, registry = new Map();
export default null;
