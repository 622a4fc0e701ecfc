// Sorts, filters and chooses the cards; the chosen person is shown by the viewer.
function startGallery() {
  const byId = (id) => document.getElementById(id);
  const gallery = byId("gallery");
  if (!gallery) return;
  const cards = [...gallery.children];
  const viewer = new Viewer(byId("viewer"), JSON.parse(byId("meshes").textContent));
  let track = "";
  if (!viewer.gl) {
    byId("no-viewer").hidden = false;
    byId("viewer").hidden = true;
  }

  const number = (card, key) => (card.dataset[key] === undefined ? NaN : Number(card.dataset[key]));

  function isWanted(card) {
    const { kind, uri, name } = card.dataset;
    if (byId("kind").value && kind !== byId("kind").value) return false;
    if (byId("video").value && uri !== byId("video").value) return false;
    if (track && card.dataset.track !== track) return false;
    const words = byId("words").value.toLowerCase();
    if (words && !`${uri} ${name}`.toLowerCase().includes(words)) return false;
    for (const input of document.querySelectorAll("[data-low],[data-high]")) {
      if (input.value === "") continue;
      const { low, high } = input.dataset, value = number(card, low || high);
      if (!(low ? value >= Number(input.value) : value <= Number(input.value))) return false;
    }
    return true;
  }

  function compare(key, sign) {
    if (key === "name") return (a, b) => sign * a.dataset.uri.localeCompare(b.dataset.uri);
    return (a, b) => {
      const [x, y] = [number(a, key), number(b, key)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x - y);
    };
  }

  function update() {
    const sign = byId("descending").checked ? -1 : 1;
    cards.sort(compare(byId("sort").value, sign));
    gallery.append(...cards);
    let count = 0;
    for (const card of cards) {
      card.hidden = !isWanted(card);
      count += !card.hidden;
    }
    const of = track ? `, track ${track.split(" ")[0]}` : "";
    byId("shown").textContent = `${count} of ${cards.length} shown${of}`;
  }

  function choose(card) {
    for (const other of cards) other.setAttribute("aria-pressed", String(other === card));
    byId("chosen").textContent = [...card.querySelectorAll(".where, .facts")]
      .map((part) => part.textContent).join(": ");
    if (card.dataset.person === undefined || !viewer.gl) return;
    const count = viewer.show(Number(card.dataset.person));
    byId("sample").max = Math.max(1, count - 1);
    byId("bodies").disabled = count < 2;
    showBodies();
  }

  function showBodies() {
    const shown = byId("bodies").disabled ? "mode" : byId("bodies").value;
    byId("sample-of").hidden = shown !== "one";
    if (!viewer.gl) return;
    viewer.shown = shown;
    viewer.sample = Number(byId("sample").value);
    viewer.draw();
  }

  function showTrack(key) {
    track = key;
    byId("kind").value = "person";
    update();
    byId("people").scrollIntoView();
    const first = cards.find((card) => !card.hidden);
    if (first) choose(first);
  }

  gallery.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (card) choose(card);
  });
  byId("filters").addEventListener("input", update);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => {
    track = "";
    setTimeout(update);
  });
  for (const id of ["bodies", "sample"]) byId(id).addEventListener("input", showBodies);
  byId("front").addEventListener("click", () => viewer.gl && viewer.front());
  for (const line of document.querySelectorAll("[data-show-track]")) {
    line.addEventListener("click", () => showTrack(line.dataset.showTrack));
    line.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      showTrack(line.dataset.showTrack);
    });
  }
  byId("ranges").open = matchMedia("(min-width: 60rem)").matches;
  update();
  const first = cards.find((card) => card.dataset.person !== undefined) || cards[0];
  if (first) choose(first);
}

startGallery();
