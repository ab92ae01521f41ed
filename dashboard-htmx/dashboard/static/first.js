// Before anything is drawn, so that nothing moves afterwards: what a browser can do, and the reader's time zone

document.documentElement.classList.add("scripted");
if (!navigator.clipboard) document.documentElement.classList.add("uncopied"); // as over HTTP from elsewhere

// A page whose maker did not know the zone yet is fetched once more
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
