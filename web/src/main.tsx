import "./style/index.css";

import { render } from "preact";

import { App } from "./app";

// The library knows how long it is, and scrolls itself.
history.scrollRestoration = "manual";

const page = document.getElementById("page");
if (page) render(<App />, page);
