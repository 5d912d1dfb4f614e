// What a broker may send: it is cut and parsed without harm, and every view lies in the input.
#include "mqtt/packets.h"
#include "tests/fuzz/check.h"

namespace {

bool Inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void ParseAll(const sluice::mqtt::Packet& packet) {
  using namespace sluice::mqtt;  // NOLINT(google-build-using-namespace)
  Connack connack;
  (void)ParseConnack(packet, &connack);
  Answer answer;
  if (ParseAnswer(packet, &answer)) FUZZ_CHECK(Inside(answer.reasons, packet.body));
  uint8_t reason = 0;
  if (ParseDisconnect(packet, &reason)) FUZZ_CHECK(!ReasonText(reason).empty());
  Publish publish;
  if (!ParsePublish(packet, &publish)) return;
  FUZZ_CHECK(Inside(publish.topic, packet.body) && Inside(publish.payload, packet.body));
  Properties::Property property;
  while (publish.properties.Next(&property)) {
    FUZZ_CHECK(Inside(property.name, packet.body) && Inside(property.value, packet.body));
  }
  FUZZ_CHECK(publish.properties.valid());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  sluice::mqtt::Packet packet;
  size_t taken = 0;
  while (sluice::mqtt::CutPacket(rest, &packet, &taken) == sluice::mqtt::Cut::kPacket) {
    FUZZ_CHECK(taken > 0 && taken <= rest.size());
    ParseAll(packet);
    rest.remove_prefix(taken);
  }
  return 0;
}
