// What the viewer takes from its libraries; bundled as one global, `libraries`.
export { select } from "d3-selection";
export { zoom, zoomIdentity } from "d3-zoom";
export { default as Flatbush } from "flatbush";
export { Context as SvgContext } from "svgcanvas";
