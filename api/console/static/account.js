import { ask, read } from "./api.js";
import { el, one, say } from "./dom.js";
import { onSubmit } from "./form.js";
import { time } from "./format.js";
import { t } from "./words.js";

async function show() {
  const { data } = await read("/v1/sessions");
  one("#sessions").replaceChildren(
    ...data.map((each) =>
      el("li", {}, `${each.address} · ${time(each.seen_at)} `, el("span", { class: "text-body-secondary" }, each.agent.slice(0, 60)), " ",
        each.current ? el("strong", {}, t("this one")) : el("button", { type: "button", class: "btn btn-sm btn-outline-danger", on: { click: () => end(each.id) } }, t("End it"))),
    ),
  );
}

async function end(id) {
  try {
    await ask("DELETE", `/v1/sessions/${id}`);
  } catch (problem) {
    say(problem.message, "danger");
  }
  await show();
}

onSubmit(one("#password"), async ({ username, ...content }) => {
  // The name is there for password managers only.
  await ask("POST", "/v1/me/password", { new_password: "", ...content });
  location.reload();
});

one("#everywhere").addEventListener("click", async () => {
  await ask("DELETE", "/v1/sessions");
  location.assign("/login");
});

await show().catch((problem) => say(problem.message, "danger"));
