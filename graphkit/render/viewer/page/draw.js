// Drawing: one routine for the screen, for pictures of the page (canvas) and for SVG, in world coordinates.

/**
 * How a box is painted.
 * @typedef {{fill: string, edge: string, text: string, dashed: boolean, faded: boolean, marks: string[]}} Look
 *
 * What is drawn: the boxes and links in view, how they look, and how large a world pixel is on the screen.
 * @typedef {{boxes: Box[], links: Link[], look: (box: Box) => Look, group: (link: Link) => string, theme: object,
 *     meter: BoxMeter, graph: Graph, scale: number, left: number, sideways: boolean, selected: string|null, hovered: string|null,
 *     linkAlpha: number, alphaOf: null|((box: Box) => number)}} Picture
 */

/** Below these sizes on the screen, in pixels, text is left out and boxes are plain. */
const paintLimits = { text: 4.5, frameText: 7, detail: 0.3, edgeText: 0.75 };

/** Draw a picture; the context is already moved and scaled to the world. */
function paintPicture(context, picture) {
    context.lineJoin = "round";
    const frames = picture.boxes.filter((box) => box.frame);
    const boxes = picture.boxes.filter((box) => !box.frame);
    for (const box of frames) paintFrame(context, box, picture);
    context.globalAlpha = picture.linkAlpha;
    paintLinks(context, picture);
    context.globalAlpha = 1;
    for (const box of frames) paintFrameTitle(context, box, picture);
    const plain = picture.scale < paintLimits.detail;
    for (const box of boxes) {
        const look = picture.look(box);
        context.globalAlpha = (look.faded ? 0.22 : 1) * (picture.alphaOf?.(box) ?? 1);
        if (plain) paintPlain(context, box, look, picture);
        else paintBox(context, box, look, picture);
    }
    context.globalAlpha = 1;
    if (picture.scale * 11 >= paintLimits.text) paintTexts(context, boxes, picture);
    if (picture.scale * 12 < paintLimits.frameText) paintFarTitles(context, frames, picture);
    for (const box of picture.boxes) {
        if (box.key === picture.selected) paintRing(context, box, picture, picture.theme.accent, 2.5);
        else if (box.key === picture.hovered) paintRing(context, box, picture, picture.theme.accent, 1.2);
    }
}

/** Begin the path of a rectangle with round corners: above, and below, of their own radius. */
function paintRound(context, x, y, w, h, above, below = above) {
    const top = Math.min(above, w / 2, h / 2);
    const bottom = Math.min(below, w / 2, h / 2);
    context.beginPath();
    context.moveTo(x + top, y);
    context.lineTo(x + w - top, y);
    if (top) context.quadraticCurveTo(x + w, y, x + w, y + top);
    context.lineTo(x + w, y + h - bottom);
    if (bottom) context.quadraticCurveTo(x + w, y + h, x + w - bottom, y + h);
    context.lineTo(x + bottom, y + h);
    if (bottom) context.quadraticCurveTo(x, y + h, x, y + h - bottom);
    context.lineTo(x, y + top);
    if (top) context.quadraticCurveTo(x, y, x + top, y);
    context.closePath();
}

function paintFrame(context, box, picture) {
    const { theme, graph, scale } = picture;
    const shades = graph.isBackward(box.item.id) ? theme.backward : theme.frames;
    const look = picture.look(box);
    context.globalAlpha = picture.alphaOf?.(box) ?? 1;
    paintRound(context, box.x, box.y, box.w, box.h, 10);
    context.fillStyle = shades[box.depth % shades.length];
    context.fill();
    context.strokeStyle = look.marks.length ? look.marks[0] : theme.frameEdge;
    context.lineWidth = Math.max(1, 0.6 / scale);
    const kind = graph.groups[box.item.id].kind;
    if (kind === "body") context.setLineDash([6, 4]);
    context.stroke();
    if (kind === "body") context.setLineDash([]);
    if (scale >= paintLimits.detail) {
        paintRound(context, box.x + 0.5, box.y + 0.5, box.w - 1, measureBoxes.frame - 0.5, 9.5, 0);
        context.fillStyle = shades[(box.depth + 1) % shades.length];
        context.fill();
    }
    context.globalAlpha = 1;
}

/** Where the words of a title bar begin: where the bar does or, if that is not visible, at the edge of the view. */
function paintTitleLeft(box, edge, width) {
    return Math.max(box.x, Math.min(edge, box.x + box.w - width));
}

/** The words of a title bar, on a patch of its colour so that lines do not run through them. */
function paintFrameTitle(context, box, picture) {
    const { theme, scale, graph, meter } = picture;
    if (scale * 12 < paintLimits.frameText) return;
    const look = picture.look(box);
    const { label, note } = meter.frame(box.item.id);
    const after = 28 + meter.text.width(label, measureFonts.frame) + 8;
    const words = note ? after + meter.text.width(note, measureFonts.label) : after - 8;
    const shades = graph.isBackward(box.item.id) ? theme.backward : theme.frames;
    const middle = box.y + measureBoxes.frame / 2;
    const left = paintTitleLeft(box, picture.left, words + 12);
    context.globalAlpha = (look.faded ? 0.45 : 1) * (picture.alphaOf?.(box) ?? 1);
    context.fillStyle = shades[(box.depth + 1) % shades.length];
    context.fillRect(left + 9, box.y + 4, Math.min(words - 5, box.w - 16), measureBoxes.frame - 8);
    context.fillStyle = theme.muted;
    paintTriangle(context, left + 17, middle, 4.5, true);
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.font = measureFonts.frame;
    context.fillStyle = theme.ink;
    context.fillText(label, left + 28, middle + 0.5);
    if (note) {
        context.font = measureFonts.label;
        context.fillStyle = theme.muted;
        context.fillText(note, left + after, middle + 0.5);
    }
    context.globalAlpha = 1;
}

/** From afar the titles of the larger frames are written at a size that can be read. */
function paintFarTitles(context, frames, picture) {
    const { scale, theme, meter } = picture;
    const size = 11 / scale;
    const taken = [];
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const box of frames) {
        if (box.w * scale < 60 || box.h * scale < 44) continue;
        const font = `600 ${size}px ${measureFamily}`;
        const { label } = meter.frame(box.item.id);
        const text = meter.text.fit(label, measureFonts.frame, (box.w * scale - 14) * (12 / 11));
        const width = ((meter.text.width(text, measureFonts.frame) * 11) / 12 + 8) / scale;
        const left = paintTitleLeft(box, picture.left, width + 8 / scale);
        const room = { x: left + 4 / scale, y: box.y + 4 / scale, w: width, h: 17 / scale };
        const meets = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
        if (taken.some((other) => meets(room, other))) continue;
        taken.push(room);
        context.globalAlpha = 0.88;
        context.fillStyle = theme.surface;
        paintRound(context, room.x, room.y, room.w, room.h, 4 / scale);
        context.fill();
        context.globalAlpha = 1;
        context.fillStyle = theme.ink;
        context.font = font;
        context.fillText(text, room.x + 4 / scale, room.y + room.h / 2);
    }
}

function paintTriangle(context, x, y, r, open) {
    context.beginPath();
    if (open) {
        context.moveTo(x - r, y - r * 0.55);
        context.lineTo(x + r, y - r * 0.55);
        context.lineTo(x, y + r * 0.75);
    } else {
        context.moveTo(x - r * 0.55, y - r);
        context.lineTo(x + r * 0.75, y);
        context.lineTo(x - r * 0.55, y + r);
    }
    context.closePath();
    context.fill();
}

function paintPlain(context, box, look, picture) {
    context.fillStyle = look.fill;
    context.fillRect(box.x, box.y, box.w, box.h);
    if (picture.scale > 0.12 || look.dashed) {
        context.lineWidth = Math.max(1, 0.7 / picture.scale);
        context.strokeStyle = look.edge;
        context.strokeRect(box.x, box.y, box.w, box.h);
    }
}

function paintBox(context, box, look, picture) {
    const { theme, scale, graph, meter } = picture;
    const terminal = box.item.kind === "node" && graph.nodes[box.item.id].kind !== "operator";
    const group = box.item.kind === "group";
    const text = meter.box(box.item);
    const radius = terminal ? box.h / 2 : 7;
    context.lineWidth = look.dashed ? 1.8 : Math.max(1, 0.6 / scale);
    context.strokeStyle = look.edge;
    context.fillStyle = look.fill;
    if (group) {
        paintRound(context, box.x + 4, box.y + 4, box.w, box.h, radius);
        context.fill();
        context.stroke();
    }
    paintRound(context, box.x, box.y, box.w, box.h, radius);
    context.fill();
    if (text.lines.length && !group && box.h > text.head) {
        paintRound(context, box.x, box.y + text.head, box.w, box.h - text.head, 0, radius);
        context.fillStyle = theme.surface;
        context.fill();
        paintRound(context, box.x, box.y, box.w, box.h, radius);
    }
    if (look.dashed) context.setLineDash([5, 3]);
    context.stroke();
    if (look.dashed) context.setLineDash([]);
    look.marks.slice(0, 4).forEach((colour, at, { length }) => {
        context.fillStyle = colour;
        context.fillRect(box.x + 5, box.y + 6 + (at * (box.h - 12)) / length, 4, (box.h - 12) / length);
    });
    if (group) {
        context.fillStyle = look.text;
        paintTriangle(context, box.x + box.w - 11, box.y + text.head / 2, 4.5, false);
    }
}

/** The words in boxes: by font, since changing fonts is slow. */
function paintTexts(context, boxes, picture) {
    const { meter, theme } = picture;
    context.textBaseline = "middle";
    context.textAlign = "center";
    const { pad, title, line } = measureBoxes;
    const each = (font, draw) => {
        context.font = font;
        for (const box of boxes) {
            const look = picture.look(box);
            context.globalAlpha = (look.faded ? 0.3 : 1) * (picture.alphaOf?.(box) ?? 1);
            draw(box, look, meter.box(box.item), box.x + box.w / 2);
        }
    };
    each(measureFonts.title, (box, look, text, centre) => {
        context.fillStyle = look.text;
        context.fillText(text.title, centre, box.y + pad + title / 2);
    });
    each(measureFonts.label, (box, look, text, centre) => {
        context.fillStyle = look.text;
        if (text.label) context.fillText(text.label, centre, box.y + pad + title + line / 2 - 0.5);
        if (!text.lines.length) return;
        const group = box.item.kind === "group";
        const colour = group ? look.text : theme.ink;
        context.fillStyle = colour;
        const first = box.y + text.head + (group ? 0 : pad - 2) + line / 2;
        text.lines.forEach((words, at) => context.fillText(words, centre, first + at * line));
    });
    context.globalAlpha = 1;
    if (picture.scale >= paintLimits.edgeText) paintLinkLabels(context, picture);
}

/** Styles of links that do not stand out. */
const paintQuiet = { faded: true, kept: true, plain: true, body: true };

function paintLinkLabels(context, picture) {
    const { theme } = picture;
    context.font = measureFonts.edge;
    for (const link of picture.links) {
        if (Number.isNaN(link.labelY)) continue;
        context.textAlign = link.labelAlign;
        const group = picture.group(link);
        context.globalAlpha = (group === "faded" ? 0.25 : 1) * picture.linkAlpha;
        context.fillStyle = group in paintQuiet ? theme.muted : theme.ink;
        context.fillText(link.label, link.labelX, link.labelY);
    }
    context.globalAlpha = 1;
}

/**
 * How far along the flow the control points of the curve to the corner `at` are from its beginning: half of the way,
 * or, where it turns round, a little beyond.
 */
function paintReach(points, at, sideways) {
    const along = sideways ? 0 : 1;
    const way = points[at + along] - points[at - 2 + along];
    if (Math.abs(way) > 0.5) return way / 2;
    return at >= 4 && points[at - 2 + along] < points[at - 4 + along] ? -18 : 18;
}

/** Continue a path along a link: straight, and in curves that keep the direction of flow at both ends. */
function paintAlong(context, points, sideways, first = 0) {
    context.moveTo(points[2 * first], points[2 * first + 1]);
    for (let at = 2 * first + 2; at < points.length; at += 2) {
        const [px, py, x, y] = [points[at - 2], points[at - 1], points[at], points[at + 1]];
        const across = sideways ? y - py : x - px;
        if (across < 0.5 && across > -0.5) {
            context.lineTo(x, y);
            continue;
        }
        const reach = paintReach(points, at, sideways);
        if (sideways) context.bezierCurveTo(px + reach, py, x + reach - (x - px), y, x, y);
        else context.bezierCurveTo(px, py + reach, x, y + reach - (y - py), x, y);
    }
}

function paintArrow(context, points, sideways, size) {
    const [x, y] = [points[points.length - 2], points[points.length - 1]];
    const from = sideways ? points[points.length - 4] : points[points.length - 3];
    const back = (sideways ? x : y) >= from ? -size : size;
    context.moveTo(x, y);
    if (sideways) {
        context.lineTo(x + back, y - size * 0.55);
        context.lineTo(x + back, y + size * 0.55);
    } else {
        context.lineTo(x - size * 0.55, y + back);
        context.lineTo(x + size * 0.55, y + back);
    }
}

/** All links, those of one style in one stroke; the remarkable ones last. */
function paintLinks(context, picture) {
    const { theme, scale, sideways } = picture;
    const thin = Math.max(1.2, 0.75 / scale);
    const thick = Math.max(2.4, 1.8 / scale);
    // From afar many lines lie side by side, and must not hide the boxes.
    const far = Math.max(0.4, Math.min(1, 5 * scale));
    const styles = {
        faded: { colour: theme.line, width: thin, alpha: 0.16 },
        kept: { colour: theme.line, width: thin, alpha: 0.55 * far },
        plain: { colour: theme.line, width: thin, alpha: far },
        body: { colour: theme.line, width: thin, alpha: far, dash: [5, 4] },
        path: { colour: theme.accent, width: thick, alpha: 1 },
        out: { colour: theme.accent, width: thick, alpha: 1 },
        in: { colour: theme.producer, width: thick, alpha: 1 },
        hovered: { colour: theme.accent, width: thin * 1.4, alpha: 1 },
        selected: { colour: theme.accent, width: thick * 1.3, alpha: 1 },
    };
    const sorted = Object.fromEntries(Object.keys(styles).map((name) => [name, []]));
    for (const link of picture.links) sorted[picture.group(link)].push(link);
    for (const [name, { colour, width, alpha, dash }] of Object.entries(styles)) {
        if (!sorted[name].length) continue;
        context.globalAlpha = alpha * picture.linkAlpha;
        context.strokeStyle = colour;
        context.lineWidth = width;
        if (dash && scale > 0.25) context.setLineDash(dash);
        context.beginPath();
        const common = name in paintQuiet;
        for (const { points, shared } of sorted[name]) paintAlong(context, points, sideways, common ? shared : 0);
        context.stroke();
        context.setLineDash([]);
        if (scale < 0.3) continue;
        context.fillStyle = common ? theme.arrow : colour;
        context.beginPath();
        for (const { points, head } of sorted[name]) if (head) paintArrow(context, points, sideways, 6.5);
        context.fill();
    }
}

function paintRing(context, box, picture, colour, width) {
    const around = 2.5 / Math.min(1, picture.scale);
    paintRound(context, box.x - around, box.y - around, box.w + 2 * around, box.h + 2 * around, 9 + around);
    context.strokeStyle = colour;
    context.lineWidth = width / Math.min(1, picture.scale);
    context.stroke();
}
