/* ReDoc on our document. */

// It would fetch its maker's mark from its maker's network: no image of another origin is asked for.
const isForeign = (address) => new URL(address, window.location.href).origin !== window.location.origin;
const images = HTMLImageElement.prototype;
const { setAttribute } = images;
const source = Object.getOwnPropertyDescriptor(images, "src");
images.setAttribute = function setOwnAttribute(name, value) {
  if (name !== "src" || !isForeign(value)) setAttribute.call(this, name, value);
};
Object.defineProperty(images, "src", {
  ...source,
  set(value) {
    if (!isForeign(value)) source.set.call(this, value);
  },
});

const place = document.getElementById("redoc");
const fonts = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", sans-serif';

window.Redoc.init(
  place.dataset.schema,
  {
    hideDownloadButton: true,
    hideHostname: true,
    expandResponses: "200,201",
    theme: {
      typography: { fontFamily: fonts, headings: { fontFamily: fonts }, code: { fontFamily: "ui-monospace, monospace" } },
      colors: { primary: { main: "#4338ca" } },
    },
  },
  place,
);
