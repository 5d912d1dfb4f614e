#include "schema/secrets.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace sluice {
namespace {

using Case = std::pair<const char*, const char*>;  // payload, what is left of it

void ExpectCut(const Case& expected) {
  const auto& [payload, left] = expected;
  EXPECT_EQ(CutSecrets(payload), left) << payload;
  EXPECT_EQ(CutSecrets(left), left) << payload;
  EXPECT_TRUE(nlohmann::json::accept(left) || !nlohmann::json::accept(payload)) << left;
}

TEST(CutSecrets, LeavesPayloadsWithoutATokenAlone) {
  for (const char* payload :
       {"", "{}", R"~({"site_id": "north", "metrics": {"heat": 21.5}})~", "\xff\xfe",
        R"~({"note": "the provision_token is elsewhere"})~", R"~(["provision_token"])~",
        R"~({"key": "provision_token", "value": 1})~", R"~({"provision": 1, "token": 2})~",
        "provision_token", R"~({"provision_token)~", R"~({"provision_token":)~",
        "provision_token = "}) {
    EXPECT_EQ(CutSecrets(payload), payload);
  }
}

TEST(CutSecrets, CutsAValueOfEveryKindFromValidJson) {
  for (const Case& expected : {
           Case{R"~({"provision_token":"tok-apple"})~", R"~({"provision_token":"(cut)"})~"},
           Case{R"~({"provision_token" : "tok-apple" , "a":1})~",
                R"~({"provision_token" : "(cut)" , "a":1})~"},
           Case{R"~({"provision_token":"a\"b\\","x":2})~",
                R"~({"provision_token":"(cut)","x":2})~"},
           Case{R"~({"provision_token":12345,"x":2})~", R"~({"provision_token":"(cut)","x":2})~"},
           Case{R"~({"provision_token":null})~", R"~({"provision_token":"(cut)"})~"},
           Case{R"~({"provision_token":true})~", R"~({"provision_token":"(cut)"})~"},
           Case{R"~({"provision_token":["a","]",{"b":"}"}],"x":2})~",
                R"~({"provision_token":"(cut)","x":2})~"},
           Case{R"~({"provision_token":{"v":"tok}"},"x":2})~",
                R"~({"provision_token":"(cut)","x":2})~"},
       }) {
    ExpectCut(expected);
  }
}

TEST(CutSecrets, FindsTheKeyAtAnyDepthInAnyCaseAndWithEscapes) {
  for (const Case& expected : {
           Case{R"~({"a":[{"b":{"provision_token":"s"}}]})~",
                R"~({"a":[{"b":{"provision_token":"(cut)"}}]})~"},
           Case{R"~({"Provision_Token":"s","PROVISION_TOKEN":"t"})~",
                R"~({"Provision_Token":"(cut)","PROVISION_TOKEN":"(cut)"})~"},
           Case{R"~({"provision_\u0074oken":"s"})~", R"~({"provision_\u0074oken":"(cut)"})~"},
           Case{R"~({"\u0050ROVISION\u005FTOKEN":"s"})~",
                R"~({"\u0050ROVISION\u005FTOKEN":"(cut)"})~"},
           Case{R"~([{"provision_token":"s"},{"provision_token":"t"}])~",
                R"~([{"provision_token":"(cut)"},{"provision_token":"(cut)"}])~"},
           Case{R"~({"old_provision_token":"s"})~", R"~({"old_provision_token":"(cut)"})~"},
       }) {
    ExpectCut(expected);
  }
}

TEST(CutSecrets, CutsAStringThatHoldsATokenWholeSoThatJsonStaysValid) {
  for (const Case& expected : {
           Case{R"~({"body":"{\"provision_token\":\"s\"}","x":1})~", R"~({"body":"(cut)","x":1})~"},
           Case{R"~({"body":"{\"a\":\"{\\\"provision_token\\\":\\\"s\\\"}\"}"})~",
                R"~({"body":"(cut)"})~"},
           Case{R"~({"query":"a=1&provision_token=s&b=2"})~", R"~({"query":"(cut)"})~"},
           Case{R"~({"body":"provision_token\n:\t'x'"})~", R"~({"body":"(cut)"})~"},
           Case{R"~({"provision_token=abc":1})~", R"~({"(cut)":"(cut)"})~"},
       }) {
    ExpectCut(expected);
  }
}

TEST(CutSecrets, NeedsNoValidJson) {
  for (const Case& expected : {
           Case{R"~({"provision_token":"tok-apple")~", R"~({"provision_token":"(cut)")~"},
           Case{R"~({"provision_token":"tok-ap)~", R"~({"provision_token":"(cut)")~"},
           Case{R"~({'provision_token':'tok-apple','a':1})~",
                R"~({'provision_token':"(cut)",'a':1})~"},
           Case{"{provision_token:tok-apple,a:1}", R"~({provision_token:"(cut)",a:1})~"},
           Case{"provision_token=tok-apple&a=1", R"~(provision_token="(cut)"&a=1)~"},
           Case{"provision_token = tok-apple; a=1", R"~(provision_token = "(cut)"; a=1)~"},
           Case{"Provision_Token:\ttok-apple\nx", "Provision_Token:\t\"(cut)\"\nx"},
           Case{R"~({"provision_token":"s","a":NaN})~", R"~({"provision_token":"(cut)","a":NaN})~"},
           Case{R"~({"a":"b"","provision_token":"s"})~",
                R"~({"a":"b"","provision_token":"(cut)"})~"},
           Case{R"~({"a":"b, "provision_token":"s"})~", R"~({"a":"b, "provision_token":"(cut)"})~"},
           Case{R"~({"provision_token":{"v":"s")~", R"~({"provision_token":"(cut)")~"},
           Case{R"~({"provision_token":["s"],)~", R"~({"provision_token":"(cut)",)~"},
           Case{R"~(x{\"provision_token\":\"s, t\",\"a\":1})~",
                R"~(x{\"provision_token\":"(cut)",\"a\":1})~"},
           Case{R"~({provision_\u0074oken:s})~", R"~({provision_\u0074oken:"(cut)"})~"},
           Case{R"~(provision_token="provision_token":"s")~", R"~(provision_token="(cut)")~"},
           Case{"\xff provision_token:s", "\xff provision_token:\"(cut)\""},
       }) {
    ExpectCut(expected);
  }
}

TEST(CutSecrets, DoesNotStopAtANul) {
  const std::string payload("4\0provision_token:s", 19);
  EXPECT_EQ(CutSecrets(payload), payload.substr(0, 18) + std::string(kCutToken));
}

TEST(CutSecrets, CutsOnceMoreWhatCuttingMadeValid) {
  ExpectCut({R"~({"a":"provision\u005ftoken\u003d\u0078","provision_token":x})~",
             R"~({"a":"provision\u005ftoken\u003d"(cut)","provision_token":"(cut)"})~"});
  ExpectCut({R"~({"a":"provision_\\u0074oken=x","provision_token":x})~",
             R"~({"a":"(cut)","provision_token":"(cut)"})~"});
}

TEST(CutSecrets, LeavesNoPieceOfATokenWhateverCutsThePayloadOff) {
  const std::string payload =
      R"~({"site_id":"north","a":["b\\",{"c":"d"}],"provision_token":"SECRET","e":"f"})~";
  for (size_t from = 0; from < payload.find("provision"); ++from) {
    for (size_t to = payload.find("RET"); to <= payload.size(); ++to) {
      const std::string cut = CutSecrets(payload.substr(from, to - from));
      EXPECT_EQ(cut.find("SEC"), std::string::npos) << cut;
    }
  }
}

TEST(IsSecretKey, IsTheNameInEitherCaseAndNothingElse) {
  EXPECT_TRUE(IsSecretKey("provision_token"));
  EXPECT_TRUE(IsSecretKey("PROVISION_Token"));
  EXPECT_FALSE(IsSecretKey(""));
  EXPECT_FALSE(IsSecretKey("provision_toke"));
  EXPECT_FALSE(IsSecretKey("provision_tokens"));
  EXPECT_FALSE(IsSecretKey("provision-token"));
}

}  // namespace
}  // namespace sluice
