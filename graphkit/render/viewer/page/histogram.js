// How the numbers of a parameter are spread.

const BARS = { width: 256, height: 56 };

/**
 * A histogram with its ends and zero marked.
 * @param {object} found Statistics of the payload, with a histogram.
 * @param {string} name What the numbers are, for who cannot see it.
 */
function histogram(found, name) {
    const { counts } = found.histogram;
    const [low, high] = [real(found.histogram.low), real(found.histogram.high)];
    const most = Math.max(...counts, 1);
    const wide = BARS.width / counts.length;
    const picture = drawn("svg", {
        class: "histogram",
        viewBox: `0 0 ${BARS.width} ${BARS.height}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": short(`Histogram of ${name}: ${brief(low)} to ${brief(high)}, mean ${brief(found.mean)}`, 200),
    });
    counts.forEach((number, index) => {
        if (!number) return;
        const tall = Math.max(1, (number / most) * BARS.height);
        const bar = drawn("rect", { x: index * wide + 0.5, y: BARS.height - tall, width: wide - 1, height: tall });
        const [from, to] = [index, index + 1].map((edge) => low + ((high - low) * edge) / counts.length);
        bar.append(drawn("title", {}, `${brief(from)} to ${brief(to)}: ${count(number)}`));
        picture.append(bar);
    });
    if (low < 0 && high > 0) {
        const zero = (-low / (high - low)) * BARS.width;
        picture.append(drawn("line", { class: "zero", x1: zero, x2: zero, y1: 0, y2: BARS.height }));
    }
    return make(
        "figure",
        { class: "spread" },
        picture,
        make(
            "figcaption",
            { class: "ends quiet" },
            make("span", {}, brief(low)),
            make("span", {}, `mean ${brief(found.mean)}, σ ${brief(found.std)}`),
            make("span", {}, brief(high)),
        ),
    );
}
