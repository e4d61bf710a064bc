// Refreshes the page's figures. Without scripts the page stays as it is, and is reloaded by hand.
const freshness = document.querySelector("#freshness");
const ask = (event) => {
  if (event.target.method === "post" && !confirm("End this connection? It does not come back by itself.")) event.preventDefault();
};
document.addEventListener("submit", ask);
setInterval(async () => {
  const live = document.querySelector("#live");
  // Not while the operator uses it.
  if (document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    live.replaceWith(page.querySelector("#live"));
    freshness.textContent = "";
  } catch {
    freshness.textContent = "The server does not answer.";
  }
}, 5000);
