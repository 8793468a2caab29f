// Pictures of what a scene shows: SVG with text as text, and PNG.

/** The visible part of a scene as an SVG document. @param {Scene} scene */
function exportSvg(scene) {
    const { w, h } = scene.size;
    const { x, y, k } = scene.transform;
    const context = new libraries.SvgContext({ width: w, height: h, document });
    context.fillStyle = scene.looks.theme.page;
    context.fillRect(0, 0, w, h);
    context.translate(x, y);
    context.scale(k, k);
    paintPicture(context, scene.picture(scene.view(8), k));
    const root = context.getSvg();
    root.setAttribute("viewBox", `0 0 ${w} ${h}`);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = textLine(scene.graph.title, 200);
    root.prepend(title);
    return new XMLSerializer().serializeToString(root);
}

/** The visible part of a scene as a PNG picture. @param {Scene} scene @returns {Promise<Blob>} */
function exportPng(scene, scale) {
    const { w, h } = scene.size;
    const { x, y, k } = scene.transform;
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(w * scale));
    canvas.height = Math.max(1, Math.round(h * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = scene.looks.theme.page;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(scale * k, 0, 0, scale * k, scale * x, scale * y);
    paintPicture(context, scene.picture(scene.view(8), k));
    return new Promise((resolve, reject) => {
        canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large for this browser"))));
    });
}
