// Check 3: what is one JSON document that jsonb can hold unchanged, and what is not.
#include <gtest/gtest.h>

#include <string>

#include "schema/envelope.h"

namespace sluice {
namespace {

constexpr UnixMicros kReceived = 1'772'359'200'000'000;  // 2026-03-01T10:00:00Z

// "" when the payload passed check 3, else the operator's sentence.
std::string Problem(EnvelopeDecoder* decoder, std::string_view payload) {
  Envelope envelope;
  DecodeFailure failure;
  const bool accepted =
      decoder->Decode(payload, "orchard", "probe-7", kReceived, {}, &envelope, &failure);
  EXPECT_TRUE(!accepted || decoder->payload_is_jsonb());
  if (decoder->payload_is_jsonb()) return "";
  EXPECT_EQ(failure.reason, Reason::kInvalidJson);
  EXPECT_FALSE(failure.detail.empty());
  return failure.detail;
}

std::string Problem(std::string_view payload) {
  EnvelopeDecoder decoder;
  return Problem(&decoder, payload);
}

std::string Nested(size_t depth, const std::string& open, const std::string& close) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += open;
  text += "1";
  for (size_t i = 0; i < depth; ++i) text += close;
  return text;
}

TEST(EnvelopeJson, AcceptsEveryKindOfValue) {
  for (const char* payload : {
           "{}",
           " \t\r\n{ } \n",
           R"({"a":null,"b":true,"c":false,"d":"","e":{},"f":[],"g":0})",
           R"({"a":[[],[{}],[null,true,false,"x",-1.5e3]],"b":{"c":{"d":[{"e":1}]}}})",
           R"({"a" : [ 1 , 2 ] , "b" : { "c" : "d" } })",
           R"({"":1})",
           R"({"a":"\"\\\/\b\f\n\r\t\u00e9"})",
           R"({"a":"\ud83d\ude00\uD83D\uDE00"})",
           "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"}",
       }) {
    EXPECT_EQ(Problem(payload), "") << payload;
  }
}

TEST(EnvelopeJson, RefusesWhatIsNoObject) {
  for (const char* payload : {"null", "true", "1", "\"x\"", "[]", "[{}]", " 12 ", "-"}) {
    EXPECT_NE(Problem(payload), "") << payload;
  }
  EXPECT_EQ(Problem(""), "the payload is empty");
  EXPECT_EQ(Problem("[1]"), "the payload is not a JSON object");
  EXPECT_NE(Problem(" \n"), "");
}

TEST(EnvelopeJson, RefusesBrokenStructure) {
  for (const char* payload : {
           "{",
           "}",
           "{]",
           "{}}",
           "{}{}",
           "{} x",
           "{},",
           "{}null",
           R"({"a":1)",
           R"({"a":})",
           R"({"a"})",
           R"({"a",})",
           R"({"a":1,})",
           R"({,"a":1})",
           R"({"a":1 "b":2})",
           R"({"a":1,,"b":2})",
           R"({"a"::1})",
           R"({"a":1:2})",
           R"({"a":"b":1})",
           R"({"a":"b":1}})",
           R"({"x":{"a":"b":1},"c":2}})",
           R"({"a":"b" "c"})",
           R"({"a":"b"c})",
           R"({"a":[1,]})",
           R"({"a":[,1]})",
           R"({"a":[1 2]})",
           R"({"a":["x":1]})",
           R"({"a":["x":]})",
           R"({"a":[:1]})",
           R"({"a":[1})",
           R"({"a":{"b":1})",
           R"({"a":[}])",
           R"({"a":[{"b":1]})",
           R"({"a":[{"b":1},{"c":2}})",
           R"({a:1})",
           R"({'a':1})",
           R"({1:1})",
           R"({null:1})",
           R"({"a":'b'})",
           R"({"a":1}/**/)",
           R"({/**/"a":1})",
           "\xef\xbb\xbf{}",
       }) {
    EXPECT_NE(Problem(payload), "") << payload;
  }
}

TEST(EnvelopeJson, RefusesBrokenScalarsAtAnyDepthAndInUnknownFields) {
  for (const char* scalar :
       {"nul",      "nulll",     "null1",     "True", "tru",  "truefalse", "fals",      "NaN",
        "Infinity", "-Infinity", "undefined", "01",   "+1",   "1.",        ".5",        "1e",
        "0x1F",     "1.5.2",     "--1",       "-",    "1_0",  "1\"x\"",    "true\"x\"", "\"x\"true",
        "\"open",   "\\",        "\x01",      "\x0c", "\x1a", "1\x0c"}) {
    EXPECT_NE(Problem("{\"a\":" + std::string(scalar) + "}"), "") << scalar;
    EXPECT_NE(Problem("{\"a\":[[" + std::string(scalar) + "]]}"), "") << scalar;
    EXPECT_NE(Problem("{\"metrics\":{\"a\":" + std::string(scalar) + "}}"), "") << scalar;
    EXPECT_NE(Problem("{\"readings\":[{\"x\":" + std::string(scalar) + "}]}"), "") << scalar;
    EXPECT_NE(Problem("{\"readings\":[" + std::string(scalar) + "]}"), "") << scalar;
    EXPECT_NE(Problem("{\"site_id\":" + std::string(scalar) + "}"), "") << scalar;
  }
}

TEST(EnvelopeJson, RefusesBytesThatAreNotUtf8) {
  for (const char* bytes : {"\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xc3", "\xe2\x82", "\x80", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_EQ(Problem("{\"a\":\"" + std::string(bytes) + "\"}"), "the payload is not valid UTF-8");
    EXPECT_NE(Problem("{\"" + std::string(bytes) + "\":1}"), "");
    EXPECT_NE(Problem(bytes), "");
  }
}

TEST(EnvelopeJson, RefusesControlCharactersAndNulsAsTheyAre) {
  for (char c = 0; c < 0x20; ++c) {
    EXPECT_NE(Problem(std::string("{\"a\":\"x") + c + "\"}"), "") << int{c};
    EXPECT_NE(Problem(std::string("{\"x") + c + "\":1}"), "") << int{c};
  }
  EXPECT_NE(Problem(std::string_view("{}\0", 3)), "");
  EXPECT_NE(Problem(std::string_view("\0{}", 3)), "");
}

TEST(EnvelopeJson, RefusesEscapesThatJsonbCannotHold) {
  for (const char* text :
       {R"(\u0000)", R"(x\u0000y)", R"(\ud800)", R"(\udbff x)", R"(\udc00)", R"(\udfff)",
        R"(\ud800\u0041)", R"(\ud800\n)", R"(\ud800\ud800)", R"(\ud800\\udc00)", R"(\udc00\ud800)",
        R"(\ud83d\ude0)", R"(\ud83d)", R"(\ud800\udbff)", R"(\ud800\ue000)"}) {
    EXPECT_NE(Problem("{\"a\":\"" + std::string(text) + "\"}"), "") << text;
    EXPECT_NE(Problem("{\"a\":[{\"" + std::string(text) + "\":1}]}"), "") << text;
    EXPECT_NE(Problem("{\"metrics\":{\"" + std::string(text) + "\":1}}"), "") << text;
  }
}

TEST(EnvelopeJson, RefusesMalformedEscapes) {
  for (const char* text : {R"(\x)", R"(\')", R"(\u)", R"(\u1)", R"(\u12)", R"(\u123)", R"(\u12g4)",
                           R"(\u+123)", R"(\u-123)", R"(\U0041)", R"(\0)", R"(\a)", R"(\ )"}) {
    EXPECT_NE(Problem("{\"a\":\"" + std::string(text) + "\"}"), "") << text;
    EXPECT_NE(Problem("{\"" + std::string(text) + "\":1}"), "") << text;
  }
}

TEST(EnvelopeJson, LimitsTheDepthTo32) {
  EXPECT_EQ(Problem("{\"a\":" + Nested(31, "[", "]") + "}"), "");
  EXPECT_NE(Problem("{\"a\":" + Nested(32, "[", "]") + "}"), "");
  EXPECT_EQ(Problem("{\"a\":" + Nested(31, "{\"b\":", "}") + "}"), "");
  EXPECT_NE(Problem("{\"a\":" + Nested(32, "{\"b\":", "}") + "}"), "");
  EXPECT_NE(Problem("{\"metrics\":" + Nested(32, "{\"b\":", "}") + "}"), "");
  EXPECT_NE(Problem("{\"readings\":" + Nested(32, "[", "]") + "}"), "");
  EXPECT_EQ(Problem("{\"a\":" + Nested(100'000, "[", "]") + "}"),
            "the payload is nested deeper than 32 levels");
}

TEST(EnvelopeJson, RefusesAKeyTwiceInOneObjectHoweverItIsWritten) {
  for (const char* payload : {
           R"({"a":1,"a":1})",
           R"({"a":1,"b":2,"a":3})",
           R"({"a":1,"\u0061":2})",
           R"({"\u00e9":1,"é":2})",
           R"({"":1,"":2})",
           R"({"x":{"a":1,"a":2}})",
           R"({"x":[{"a":1,"a":2}]})",
           R"({"metrics":{"a":1,"a":2}})",
           R"({"site_id":"north","site_id":"north"})",
           R"({"readings":[{"seq":1,"seq":1}]})",
       }) {
    EXPECT_EQ(Problem(payload), "an object has the same key twice") << payload;
  }
  EXPECT_EQ(Problem(R"({"a":{"a":{"a":1}},"b":{"a":1},"A":[{"a":1},{"a":2}]})"), "");
}

TEST(EnvelopeJson, FindsAKeyTwiceAmongThousands) {
  const auto object = [](size_t keys, const std::string& more) {
    std::string text = "{";
    for (size_t i = 0; i < keys; ++i) text += "\"key" + std::to_string(i) + "\":1,";
    return text + more + "}";
  };
  for (const size_t keys : {60U, 63U, 64U, 65U, 66U, 5000U}) {
    EXPECT_EQ(Problem(object(keys, "\"x\":1")), "") << keys;
    EXPECT_NE(Problem(object(keys, "\"key0\":1")), "") << keys;
    EXPECT_NE(Problem(object(keys, "\"key" + std::to_string(keys - 1) + "\":1")), "") << keys;
    EXPECT_NE(Problem(object(keys, "\"key\\u0031\":1")), "") << keys;
  }
}

TEST(EnvelopeJson, LimitsNumbersToWhatNumericAndDoubleHold) {
  for (const std::string& number :
       {std::string("18446744073709551616"), std::string("-99999999999999999999999"),
        std::string(64, '9'), "0." + std::string(62, '1'), std::string("1e308"),
        std::string("1e-308"), std::string("0e308"), std::string("1.7976931348623157e308"),
        std::string("-0"), std::string("-0.0E+0")}) {
    EXPECT_EQ(Problem("{\"a\":" + number + "}"), "") << number;
  }
  for (const std::string& number :
       {std::string(65, '9'), "0." + std::string(63, '1'), std::string("1e309"),
        std::string("1e-309"), std::string("0e309"), std::string("9e308"), std::string("-9e308"),
        std::string("1e99999999999999999999"), std::string("100e307")}) {
    EXPECT_NE(Problem("{\"a\":" + number + "}"), "") << number;
  }
}

TEST(EnvelopeJson, IsNotFooledByWhatALongerPayloadLeftInTheBuffer) {
  EnvelopeDecoder decoder;
  EXPECT_EQ(Problem(&decoder, R"({"a":[1,2,3],"b":true,"c":"}}]]"})"), "");
  EXPECT_NE(Problem(&decoder, R"({"a":[1,2,3)"), "");
  EXPECT_EQ(Problem(&decoder, R"({"a":{"b":1}})"), "");
  EXPECT_NE(Problem(&decoder, R"({"a":{"b":1})"), "");
  EXPECT_NE(Problem(&decoder, R"({"a":[1,2,3],"b":tru)"), "");
  EXPECT_NE(Problem(&decoder, R"({"a":[1,2,3],"b":true,"c":")"), "");
  EXPECT_NE(Problem(&decoder, "{"), "");
  EXPECT_EQ(Problem(&decoder, "{}"), "");
}

TEST(EnvelopeJson, RefusesEveryCutOffAndAcceptsTheWhole) {
  const std::string payload =
      R"({"site_id":"north","ts":1.5e3,"metrics":{"a":[1,{"b":"\u00e9"}],"c":null},"d":true})";
  EnvelopeDecoder decoder;
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_NE(Problem(&decoder, std::string_view(payload).substr(0, size)), "") << size;
  }
  EXPECT_EQ(Problem(&decoder, payload), "");
}

TEST(EnvelopeJson, TakesPayloadsOfAnySizeInAnyOrder) {
  EnvelopeDecoder decoder;
  for (const size_t size : {1U, 100U, 63U, 64U, 65U, 100'000U, 10U, 1'000'000U, 5U}) {
    EXPECT_EQ(Problem(&decoder, "{\"a\":\"" + std::string(size, 'x') + "\\n\"}"), "") << size;
  }
}

}  // namespace
}  // namespace sluice
