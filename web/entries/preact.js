// Preact, its hooks, and htm bound to it: what every page draws with.
import { h } from "preact";
import htm from "htm";

export { h, render, Component, Fragment, createContext } from "preact";
export { useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
