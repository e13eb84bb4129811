// The time zone that the mails should keep to, so that nobody has to choose it from a list.
for (const field of document.querySelectorAll("input[data-timezone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone || field.value;
}
