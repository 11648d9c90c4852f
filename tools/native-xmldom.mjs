/** Takes the place of @xmldom/xmldom, which mpd-parser brings for Node: every page has a parser of its own. */
export const DOMParser = globalThis.DOMParser;
