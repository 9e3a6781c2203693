import { one } from "./dom.js";
import { open } from "./form.js";
import { lists, loadLists } from "./list.js";
import { t } from "./words.js";

lists[0].addAction(t("All of it"), (event) => {
  const dialog = open("detail");
  one("#detail-text").textContent = JSON.stringify(event, null, 2);
  one("form", dialog).onsubmit = (submitted) => {
    submitted.preventDefault();
    dialog.close();
  };
});
await loadLists();
