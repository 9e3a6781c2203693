import { ask } from "./api.js";
import { one, say } from "./dom.js";
import { clear, complain, leave, onSubmit } from "./form.js";
import { t } from "./words.js";

function enter() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  // Only to a page of this service, whatever the address says.
  const target = new URL(next, location.origin);
  return leave(target.origin === location.origin ? target.pathname + target.search : "/");
}

onSubmit(one("#by-password"), async ({ username = "", password = "" }) => {
  await ask("POST", "/v1/session", { username, password });
  await enter();
});

const byCode = one("#by-code");
if (byCode) {
  one("[data-send]", byCode).addEventListener("click", async () => {
    clear(byCode);
    try {
      await ask("POST", "/v1/sms-codes", { mobile: byCode.elements.mobile.value.trim() });
      say(t("If the number is known, a code is on its way."));
      byCode.elements.code.focus();
    } catch (problem) {
      complain(byCode, problem);
    }
  });
  onSubmit(byCode, async ({ mobile = "", code = "" }) => {
    await ask("POST", "/v1/session", { mobile, code });
    await enter();
  });
}
