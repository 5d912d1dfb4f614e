#include "ingest/settings_pages.h"

#include "base/roff.h"
#include "ingest/settings.h"
#include "ingest/settings_rules.h"

namespace sluice {

std::string RenderConfigurationPage() {
  std::string page = R"(# Configuration

<!-- Made by `sluice ingest --print-docs`; edit the table in ingest/settings.cc instead. -->

Sluice is configured by environment variables. An empty variable counts as not set. All mistakes are
reported together, and a daemon with a mistake does not start.

* `sluice ingest --check` says what is wrong and exits.
* `sluice ingest --print-config` prints what is in force and where each value comes from.
* A **secret** `NAME` may also be given as `NAME_FILE`, the path of a file that holds it (one newline
  at its end is dropped). Setting both is an error. Secrets are never printed or logged.
* A **reloadable** setting is overruled by a row of the same name in the table `app_settings`, which
  is read every `SETTINGS_POLL_SECONDS`.

How values are written:

* duration: a whole number and `ms`, `s`, `m`, `h` or `d`. A bare number counts the unit that the
  table gives.
* bytes: a whole number and `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `kB`, `MB`, `GB`, `TB`
  (powers of 1000). A bare number counts bytes.
* flag: `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`, in any case.
* list: separated by commas; spaces around the places are dropped.
* choice: in any case.

)" + RenderSettingsMarkdown(SettingsTable().settings());
  page += "\n## What must hold between settings\n\n";
  for (const SettingRule& rule : SettingRules()) {
    page += "* ";
    for (size_t i = 0; i < rule.settings.size(); ++i) {
      page += (i > 0 ? ", `" : "`") + rule.settings[i] + "`";
    }
    page += ": " + rule.sentence + ".\n";
  }
  return page;
}

std::string RenderSettingsManualPage(const std::string& source) {
  std::string page = RoffTitle("SLUICE.ENV", 5, source) + R"(.SH NAME
sluice.env \- settings of sluice
.SH SYNOPSIS
/etc/sluice/sluice.env
.SH DESCRIPTION
Sluice is configured by environment variables. The service reads them from this file, a NAME=value
a line; lines that begin with # are comments. What holds spaces or one of ; & $ # stands in single
quotes. So the file can be read by a shell, too, for the other commands of
.BR sluice (1):
.PP
.RS
runuser \-u sluice \-\- sh \-c \(aqset \-a; . /etc/sluice/sluice.env; sluice doctor\(aq
.RE
.PP
An empty variable counts as not set. All mistakes are reported together, and a daemon with a mistake
does not start;
.B sluice ingest \-\-check
names them,
.B sluice ingest \-\-print\-config
prints what is in force.
.PP
A secret NAME may also be given as NAME_FILE, the path of a file that holds it. A reloadable setting is
overruled by a row of the same name in the table app_settings.
.PP
A duration is a whole number and ms, s, m, h or d; a bare number counts the unit that is named.
Bytes are a whole number and KiB, MiB, GiB, TiB or kB, MB, GB, TB. A flag is 1, true, yes, on, or 0,
false, no, off. Places of a list are separated by commas.
)";
  page += RenderSettingsManual(SettingsTable().settings());
  page += ".SH \"WHAT MUST HOLD BETWEEN SETTINGS\"\n";
  for (const SettingRule& rule : SettingRules()) {
    page += ".TP\n";
    for (const std::string& name : rule.settings) page += Roff(name) + " ";
    page += "\n" + Roff(rule.sentence) + ".\n";
  }
  return page + ".SH \"SEE ALSO\"\n.BR sluice (1)\n";
}

std::string RenderEnvironmentFile() {
  return R"(# Settings of sluice.service; sluice.env(5) describes this file. Every setting is here, with its
# default behind a '#'. These are the ones to begin with:
#
#   MQTT_HOST MQTT_USERNAME MQTT_PASSWORD_FILE     the broker, and the daemon's account there
#   DATABASE_URL or DATABASE_URL_FILE              PostgreSQL, with the daemon's own role
#   CERT_AUTH_ENABLED STAMP_KEY_FILE               with the broker's plugin
#
# systemd reads this file, and so does a shell: what holds spaces or one of ; & $ # stands in single
# quotes. A secret is best kept in a file of its own that only the daemon's user can read:
#
#   install -o sluice -m 0400 /dev/stdin /etc/sluice/mqtt.password
)" + RenderSettingsFile(SettingsTable().settings());
}

}  // namespace sluice
