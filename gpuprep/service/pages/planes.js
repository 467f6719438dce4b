// One side as pictures of planes, made by the service: for browsers without WebGL2.
import { html } from "./vendor/preact.js";
export function PlaneSide() { return html`<p>planes</p>`; }
