#include "schema/reason_help.h"

#include <array>

namespace sluice {
namespace {

// In the order of the enumeration.
constexpr std::array<ReasonHelp, kReasonCount> kHelp = {{
    {"The topic is not tenant/TENANT/device/DEVICE/TYPE, or one of its parts is empty, longer than "
     "128 bytes, or has other characters than A-Z a-z 0-9 . _ : - in it.",
     "Correct the topic in the device. A replay keeps the topic, so it does not help."},
    {"The payload has more bytes than MAX_PAYLOAD_BYTES.",
     "Let the device send less at once, or raise MAX_PAYLOAD_BYTES (also in app_settings); then "
     "replay what was kept whole."},
    {"The payload is not one JSON object: it does not parse, is not UTF-8, repeats a key, is "
     "nested "
     "deeper than 32, or holds a number or a character that PostgreSQL's jsonb does not take.",
     "Correct the device's firmware; detail says where it fails. A replay sends the same bytes, so "
     "it does not help."},
    {"The payload's version is none that Sluice reads; it reads \"1\" and payloads without one.",
     "Let the device send version 1, or install a Sluice that reads its version, and replay."},
    {"The payload names another tenant than the topic.",
     "The device is set up for the wrong tenant, in its payload or in its topic: correct it there. "
     "A replay does not help. If it was not the device: look at who may publish on that topic."},
    {"The payload names another device than the topic.",
     "The device is set up with the wrong name, in its payload or in its topic: correct it there. "
     "A "
     "replay does not help. If it was not the device: look at who may publish on that topic."},
    {"The payload has no site_id, and every payload must name its site.",
     "Let the device send site_id. A replay does not help: the message does not say where it is "
     "from."},
    {"metrics is no object, or holds something that is not allowed; detail says what.",
     "Correct what the device sends. A replay does not help."},
    {"metrics has more than 50 keys.",
     "Let the device spread them over several messages or readings. A replay does not help."},
    {"A key in metrics is longer than 128 characters.",
     "Give the metric a shorter name in the device. A replay does not help."},
    {"A key in metrics is empty or has control characters.",
     "Correct the metric's name in the device. A replay does not help."},
    {"seq is not a whole number that 64 bits hold.",
     "Correct what the device sends as seq. A replay does not help."},
    {"The time of a reading cannot be read: it is neither ISO 8601 nor a number of seconds, "
     "milliseconds, microseconds or nanoseconds since 1970.",
     "Correct how the device writes ts. A replay does not help."},
    {"The time of a reading lies further from its arrival than TS_MAX_AGE or TS_MAX_AHEAD allow.",
     "Set the device's clock. If the times are right (a device that was offline for long), raise "
     "TS_MAX_AGE and replay: the time of arrival counts, not that of the replay."},
    {"The registry has no such device.",
     "If it is yours, register it (sluice device add TENANT DEVICE --site SITE) with the token "
     "that "
     "it has, and replay. If it is not: find out who has an account for that topic, and discard."},
    {"The device is not registered, and no subscription of the tenant had room to add it.",
     "Raise device_limit of the tenant's subscription or free a place; then replay."},
    {"The subscription that the device belongs to is SUSPENDED.",
     "Settle it with the tenant, set the subscription ACTIVE, and replay."},
    {"The subscription that the device belongs to is EXPIRED.",
     "Renew the subscription, set it ACTIVE, and replay."},
    {"The device is in the registry, but its status is not ACTIVE.",
     "If it was revoked by mistake, set its status to ACTIVE and replay. If not, find the device "
     "and switch it off; discard."},
    {"The device names another site than the registry has for it.",
     "If the device was moved, set site_id in device_registry, and replay. If it was not, correct "
     "the site in the device; a replay does not help then."},
    {"IDENTITY_MODE=stamp, and the message had no stamp of the broker's plugin.",
     "See that the broker loads the plugin on every listener. A Will never has a stamp: devices "
     "should not publish telemetry by it. A replay does not help: nobody proved the sender."},
    {"The message had a stamp that was made with no key of this daemon, or for another message.",
     "From all devices at once: give broker and daemon the same stamp.key (docs/security.md), and "
     "SIGHUP both. From one: somebody lies about who it is. A replay does not help: nobody proved "
     "the sender."},
    {"The broker knows the sender as somebody else than the device that the topic names.",
     "identity is the sender. Correct the topic in that device, or find out why it speaks for "
     "another one. A replay does not help."},
    {"The device has certificates, but none of them was ACTIVE and valid when the message came, "
     "and "
     "it proved itself in no other way.",
     "Issue a new one (sluice device cert rotate TENANT DEVICE). If the certificate was set to "
     "REVOKED by mistake, set it ACTIVE and replay."},
    {"The registry has no token for the device, so no token can prove it.",
     "Give it one (sluice device token rotate TENANT DEVICE) and put it into the device. If "
     "the hash was lost from the registry, restore provision_token_hash and replay."},
    {"The payload has no provision_token, and nothing else proved the device.",
     "Put the token into what the device sends, or let it use a certificate. A replay does not "
     "help."},
    {"The token in the payload is not the one of the registry.",
     "If the registry's is wrong or the token was rotated too early, restore "
     "provision_token_hash and replay: the token that came is compared by its hash. Else give the "
     "device its new token."},
    {"Nothing proved the device: it has no certificate, and tokens are not asked for.",
     "Register a certificate for it, or set REQUIRE_TOKEN=1 and give it a token; then replay."},
    {"The device sent more than RATE_LIMIT_RPS and RATE_LIMIT_BURST allow.",
     "Slow the device down, or raise the limits (also in app_settings). What was kept can be "
     "replayed at once: a replay spends no rate."},
    {"The message passed every check, and PostgreSQL refused its rows; detail has its words.",
     "A constraint, a trigger or a column of yours on telemetry is narrower than the message: mend "
     "it and replay, or correct the device."},
}};
static_assert(!kHelp.back().explanation.empty() && !kHelp.back().remedy.empty(),
              "a reason has no explanation");

}  // namespace

ReasonHelp HelpFor(Reason reason) {
  return kHelp[static_cast<size_t>(reason)];
}

}  // namespace sluice
