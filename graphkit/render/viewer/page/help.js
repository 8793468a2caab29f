// What the page can do, for who asks.

class Help {
    constructor() {
        this.dialog = /** @type {HTMLDialogElement} */ (byId("keys"));
        this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    }

    /** @param {[string, [string[], string][]][]} table Keys by subject. @param {boolean} compared */
    fill(table, compared) {
        const keys = table.map(([title, rows]) =>
            make(
                "section",
                {},
                make("h3", {}, title),
                make(
                    "dl",
                    { class: "key-table" },
                    ...rows.flatMap(([names, does]) => [
                        make("dt", {}, ...names.map((name) => make("kbd", {}, name))),
                        make("dd", {}, does),
                    ]),
                ),
            ),
        );
        const search = make(
            "section",
            {},
            make("h3", {}, "Search"),
            make(
                "p",
                { class: "quiet" },
                'Words must all be found, "quoted ones" with their spaces. With a prefix, a word is sought in one place:',
            ),
            make(
                "dl",
                { class: "key-table" },
                ...Object.entries(FIELDS).flatMap(([field, does]) => [
                    make("dt", {}, make("code", {}, `${field}:`)),
                    make("dd", {}, does),
                ]),
            ),
        );
        const pointer = make(
            "section",
            {},
            make("h3", {}, "Mouse and touch"),
            make(
                "dl",
                { class: "key-table" },
                ...[
                    ["Click", "chooses a node, a group or a line; on a frame's title, closes it"],
                    ["Double click", "opens a group"],
                    ["Drag", "moves the graph"],
                    ["Wheel, pinch", "zooms"],
                ].flatMap(([name, does]) => [make("dt", {}, name), make("dd", {}, does)]),
            ),
        );
        const colours = compared
            ? make(
                  "section",
                  {},
                  make("h3", {}, "Differences"),
                  make(
                      "dl",
                      { class: "key-table" },
                      ...Object.values(STATUS).flatMap(({ sign, title }) => [
                          make("dt", {}, make("kbd", {}, sign)),
                          make("dd", {}, title),
                      ]),
                  ),
              )
            : null;
        this.dialog.replaceChildren(
            make(
                "header",
                {},
                make("h2", { id: "keys-title" }, "Keys and search"),
                make(
                    "button",
                    {
                        type: "button",
                        class: "plain",
                        "aria-label": "Close",
                        autofocus: true,
                        click: () => this.dialog.close(),
                    },
                    icon("close"),
                ),
            ),
            make("div", { class: "help-columns" }, ...[...keys, search, pointer, colours].filter(Boolean)),
            make(
                "p",
                { class: "quiet" },
                "The address of the page leads to the chosen node. Nothing leaves this page: it makes no requests.",
            ),
        );
    }

    open() {
        if (!this.dialog.open) this.dialog.showModal();
    }
}
