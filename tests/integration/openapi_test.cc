// console/openapi.json against the daemon: every path, method, parameter, limit and error in it is
// asked for, and every answer is judged by the schema that it gives.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "tests/support/sluice_stack.h"

namespace sluice::testing {
namespace {

using Json = nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

constexpr const char* kToken = "correct-horse-battery";

class OpenApi : public ::testing::Test {
 protected:
  OpenApi() {
    stack_.Sql(
        "INSERT INTO quarantine_events (topic, tenant_id, device_id, site_id, msg_type, reason, "
        "payload, payload_bytes, payload_size, received_at) SELECT 't', 'orchard', 'probe-7', "
        "'north', 'telemetry', 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD', 'null', '\\xff', 1, now() FROM "
        "generate_series(1, 5); INSERT INTO quarantine_events (reason, payload) VALUES "
        "('OF_THE_OLD_SERVICE', '{}')");
    stack_.Start();
    spec_ = Json::parse(stack_.Ask({.target = "/api/v1/openapi.json"}).body);
    for (const auto& [path, methods] : spec_["paths"].items()) {
      for (const auto& [method, operation] : methods.items()) {
        for (const auto& [status, response] : operation["responses"].items()) {
          declared_.emplace(path, method, std::stoi(status));
        }
      }
    }
  }

  // What a $ref stands for.
  const Json& Resolved(const Json& node) const {
    return node.contains("$ref") ? Resolved(spec_.at(Json::json_pointer(
                                       node["$ref"].get_ref<const std::string&>().substr(1))))
                                 : node;
  }

  // "" when `value` is as `schema` says.
  std::string WhyNot(const Json& schema, const Json& value) const {
    Json root = schema;
    root["components"] = spec_["components"];
    valijson::Schema compiled;
    valijson::SchemaParser().populateSchema(Adapter(root), compiled);
    valijson::ValidationResults results;
    if (valijson::Validator().validate(compiled, Adapter(value), &results)) return "";
    std::string why;
    for (valijson::ValidationResults::Error error; results.popError(error);) {
      for (const std::string& place : error.context) why += place;
      why += ": " + error.description + "\n";
    }
    return why;
  }

  // Asks, and judges the answer by what the specification has for its status.
  HttpAnswer Ask(const std::string& path, const std::string& method, HttpQuestion question) {
    question.method = method == "get" ? "GET" : "POST";
    const HttpAnswer answer = stack_.Ask(question);
    const std::string asked = question.method + " " + question.target.substr(0, 200);
    const Json& responses = spec_["paths"][path][method]["responses"];
    const std::string status = std::to_string(answer.status);
    if (!responses.contains(status)) {
      ADD_FAILURE() << asked << ": status " << status << " is not declared";
      return answer;
    }
    seen_.emplace(path, method, answer.status);
    const Json& content = Resolved(responses[status])["content"];
    EXPECT_TRUE(content.contains(answer.headers.at("Content-Type"))) << asked;
    const Json body = Json::parse(answer.body, nullptr, false);
    EXPECT_EQ(WhyNot(content["application/json"]["schema"], body), "") << asked << "\n"
                                                                       << answer.body;
    return answer;
  }
  void Expect(int status, const std::string& path, const std::string& target) {
    EXPECT_EQ(Ask(path, "get", {.target = target}).status, status) << target.substr(0, 200);
  }

  void WalkParameter(const std::string& path, const Json& parameter) {
    const std::string begin = path + "?" + parameter["name"].get<std::string>() + "=";
    const Json& schema = Resolved(parameter["schema"]);
    if (parameter.contains("example")) {
      const Json& example = parameter["example"];
      Expect(200, path,
             begin + (example.is_string() ? example.get<std::string>() : example.dump()));
    }
    if (schema.contains("enum")) {
      for (const Json& value : schema["enum"]) Expect(200, path, begin + value.get<std::string>());
      Expect(400, path, begin + "NONE_OF_THEM");
    }
    if (schema.contains("minimum")) {
      const int64_t least = schema["minimum"];
      const int64_t most = schema["maximum"];
      Expect(200, path, begin + std::to_string(least));
      Expect(200, path, begin + std::to_string(most));
      Expect(400, path, begin + std::to_string(least - 1));
      Expect(400, path, begin + std::to_string(most + 1));
      Expect(400, path, begin + "some");
    }
    if (schema.contains("maxLength")) {
      Expect(400, path, begin + std::string(schema["maxLength"].get<size_t>() + 1, 'x'));
    }
  }

  void WalkGet(const std::string& path, const Json& operation) {
    for (const Json& parameter : operation.value("parameters", Json::array())) {
      if (parameter["in"] == "query") WalkParameter(path, parameter);
    }
    std::string target = path;
    if (const size_t at = path.find("{id}"); at != std::string::npos) {
      const std::string folder = path.substr(0, at);
      for (const char* id : {"1", "6"}) Expect(200, path, folder + id);
      Expect(404, path, folder + "999999999999999999");
      for (const char* id : {"1000000000000000000", "-1", "x"}) Expect(400, path, folder + id);
      target = folder + "1";
    }
    Expect(200, path, target);
    if (operation["responses"].contains("400")) Expect(400, path, target + "?no_such_thing=1");
    const HttpAnswer head = stack_.Ask({.method = "HEAD", .target = target});
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.body, "");
    EXPECT_EQ(stack_.Ask({.method = "DELETE", .target = target}).status, 405);
  }

  static HttpQuestion Post(const std::string& path, const std::string& body) {
    return {.target = path,
            .headers = {{"Authorization", std::string("Bearer ") + kToken},
                        {"Content-Type", "application/json"}},
            .body = body};
  }

  void WalkPost(const std::string& path, const Json& operation) {
    const Json& schema =
        Resolved(operation["requestBody"])["content"]["application/json"]["schema"];
    Json many = {{"ids", Json::array()}};
    for (int i = 0; i < 1000; ++i) many["ids"].push_back("999999999999999999");
    Json too_many = many;
    too_many["ids"].push_back("1");
    for (const Json& body :
         {Json{{"ids", {"1"}}},
          Json{{"ids", {1}}},
          Json{{"ids", {"x"}}},
          Json{{"ids", Json::array()}},
          many,
          too_many,
          Json{{"filter", {{"device", "none"}}}, {"limit", 1}},
          Json{{"filter", {{"device", "none"}}}, {"limit", 10'000}},
          Json{{"filter", {{"device", "none"}}}, {"limit", 10'001}},
          Json{{"filter", {{"device", "none"}}}, {"limit", 0}},
          Json{{"limit", 1}},
          Json{{"filter", {{"device", "none"}}}},
          Json{{"filter", Json::object()}, {"limit", 1}},
          Json{{"filter", {{"tenant", std::string(256, 't')}}}, {"limit", 1}},
          Json{{"filter", {{"tenant", std::string(257, 't')}}}, {"limit", 1}},
          Json{{"filter", {{"tenant", ""}}}, {"limit", 1}},
          Json{{"filter", {{"reason", "RATE_LIMITED"}, {"since", "1h"}}}, {"limit", 1}},
          Json{{"filter", {{"reason", "BAD_LUCK"}}}, {"limit", 1}},
          Json{{"filter", {{"device", "none"}}}, {"limit", 1}, {"more", 1}},
          Json(1),
          Json::object()}) {
      const bool good = WhyNot(schema, body).empty();
      EXPECT_EQ(Ask(path, "post", Post(path, body.dump())).status, good ? 200 : 400)
          << body.dump().substr(0, 200);
    }
    const std::string good = R"({"ids":["1"]})";
    HttpQuestion question = Post(path, good);
    question.headers.erase(question.headers.begin());
    EXPECT_EQ(Ask(path, "post", question).status, 401);
    question = Post(path, good);
    question.headers.emplace_back("Origin", "http://evil.example");
    EXPECT_EQ(Ask(path, "post", question).status, 403);
    question = Post(path, good);
    question.headers.emplace_back("Transfer-Encoding", "chunked");
    EXPECT_EQ(Ask(path, "post", question).status, 411);
    question = Post(path, good);
    question.headers.pop_back();
    EXPECT_EQ(Ask(path, "post", question).status, 415);
    EXPECT_EQ(Ask(path, "post", Post(path, std::string((64 << 10) + 1, ' '))).status, 413);
    EXPECT_EQ(Ask(path, "post", Post(path, std::string(60 << 10, ' ') + good)).status, 200);
  }

  PostgresServer server_;
  SluiceStack stack_{{{"ADMIN_TOKEN", kToken}}, &server_};
  Json spec_;
  using Outcome = std::tuple<std::string, std::string, int>;
  std::set<Outcome> declared_;
  std::set<Outcome> seen_;
};

TEST_F(OpenApi, SaysWhatTheDaemonDoes) {
  for (const auto& [path, methods] : spec_["paths"].items()) {
    if (methods.contains("get")) WalkGet(path, methods["get"]);
    if (methods.contains("post")) WalkPost(path, methods["post"]);
  }
  server_.Stop();
  for (const auto& [path, method, status] : declared_) {
    if (status != 503) continue;
    const size_t id = path.find("{id}");
    const std::string target = path.substr(0, id) + (id == std::string::npos ? "" : "1");
    const HttpQuestion question =
        method == "get" ? HttpQuestion{.target = target} : Post(target, R"({"ids":["1"]})");
    EXPECT_EQ(Ask(path, method, question).status, 503);
  }
  for (const Outcome& outcome : declared_) {
    EXPECT_TRUE(seen_.contains(outcome)) << "never seen: " << std::get<0>(outcome) << " "
                                         << std::get<1>(outcome) << " " << std::get<2>(outcome);
  }
}

// A judge that takes everything would find nothing.
TEST_F(OpenApi, HasSchemasThatRefuseWhatIsOtherwise) {
  const Json& schemas = spec_["components"]["schemas"];
  const Json status = Json::parse(stack_.Http("/api/v1/status"));
  ASSERT_EQ(WhyNot(schemas["Status"], status), "");
  for (const auto& [name, value] : status.items()) {
    Json lacks = status;
    lacks.erase(name);
    EXPECT_NE(WhyNot(schemas["Status"], lacks), "") << name;
    Json wrong = status;
    wrong[name] = Json::array({1});
    EXPECT_NE(WhyNot(schemas["Status"], wrong), "") << name;
  }
  const Json message = Json::parse(stack_.Http("/api/v1/quarantine/1"));
  ASSERT_EQ(WhyNot(schemas["Message"], message), "");
  for (const auto& [name, value] : message.items()) {
    Json lacks = message;
    lacks.erase(name);
    EXPECT_NE(WhyNot(schemas["Message"], lacks), "") << name;
  }
}

}  // namespace
}  // namespace sluice::testing
