// The reader's time zone, before anything is drawn: a page whose maker did not know it yet is fetched once more

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const known = () => document.cookie.split("; ").includes(`ledgate_zone=${zone}`);
if (zone) {
  const news = !known();
  document.cookie = `ledgate_zone=${zone}; path=/; max-age=31536000; SameSite=Lax${location.protocol === "https:" ? "; Secure" : ""}`;
  if (news && known() && "again" in document.documentElement.dataset) { // a browser that keeps no cookies would go on for ever
    document.documentElement.classList.add("unseen");
    location.reload();
  }
}
