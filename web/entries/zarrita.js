export { FetchStore, get, open, registry, root, slice, withRangeCoalescing } from "zarrita";
