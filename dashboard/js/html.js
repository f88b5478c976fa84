// Binds the template syntax to the renderer once, so every component imports one thing.
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
