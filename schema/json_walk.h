// JsonWalk: one JSON document read front to back, every byte of it checked, strictly enough that
// jsonb holds it unchanged: UTF-8, one document, depth ≤ kMaxJsonDepth, no key twice in an object,
// no \u0000 and no lone surrogate, numbers of a sane size.
//
// simdjson finds the tokens; the caller says where to go. Every value that it is handed must be
// passed on, exactly once, to Check, Object or Array: what is not visited is not checked.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice {

// One checked value.
struct JsonText {
  enum class Type : unsigned char { kAbsent, kNull, kBool, kNumber, kString, kObject, kArray };

  Type type = Type::kAbsent;
  // Of a string its characters, unescaped; of anything else its bytes as they were written.
  std::string_view text;

  bool given() const { return type != Type::kAbsent && type != Type::kNull; }
};

// Reusable, not thread-safe. Views that it hands out live until the next Document. Allocates only
// when a document is larger, or more deeply filled with keys, than all before it.
class JsonWalk {
 public:
  using Value = simdjson::ondemand::value;

  // Walks a whole document, whose root must be an object. on_field(key, Value&) is called for each
  // of its fields and returns what Check, Object or Array returned. False: see problem().
  template <typename OnField>
  bool Document(std::string_view payload, OnField on_field);

  // Any value, all the way down.
  bool Check(Value& value, JsonText* out);
  // A value that is an object, field by field; any other value as Check does.
  template <typename OnField>
  bool Object(Value& value, JsonText* out, OnField on_field);
  // A value that is an array, element by element: on_element(Value&); any other as Check does.
  template <typename OnElement>
  bool Array(Value& value, JsonText* out, OnElement on_element);

  // Why the last walk failed: a sentence without any text of the document.
  const char* problem() const { return problem_; }
  // How many keys so far, at any depth, were a secret's name (IsSecretKey).
  size_t secret_keys() const { return secret_keys_; }

 private:
  struct Key {
    std::string_view text;
    uint32_t mark;  // of equal keys equal; spares most comparisons
  };

  bool Start(std::string_view payload, simdjson::ondemand::object* root);
  bool AtEnd() { return document_.current_location().error() == simdjson::OUT_OF_BOUNDS; }
  template <typename OnField>
  bool Fields(simdjson::ondemand::object& object, OnField on_field);
  bool Scalar(Value& value, std::string_view token, JsonText* out);
  bool CheckObject(Value& value, JsonText* out);
  bool CheckArray(Value& value, JsonText* out);
  bool Number(std::string_view text);
  bool String(std::string_view raw, std::string_view* out);
  bool Unescape(std::string_view raw, std::string_view* out);
  bool TakeKey(const char* begin, const Value& value, size_t first, std::string_view* out);
  bool AllDiffer(size_t first);
  bool Enter();
  bool Leave(Value& value, const char* start, JsonText::Type type, JsonText* out);
  bool Fail(const char* problem) {
    problem_ = problem;
    return false;
  }

  static std::string_view Token(const Value& value);

  static constexpr const char* kMalformed = "the payload is not one well-formed JSON document";

  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  std::vector<char> buffer_;     // the payload and zeroes after it
  std::vector<char> unescaped_;  // strings that had escapes, one after another
  size_t unescaped_size_ = 0;
  std::vector<Key> keys_;  // of the objects that are open, innermost last
  size_t secret_keys_ = 0;
  int depth_ = 0;
  bool has_escapes_ = false;
  const char* problem_ = "";
};

template <typename OnField>
bool JsonWalk::Document(std::string_view payload, OnField on_field) {
  simdjson::ondemand::object root;
  if (!Start(payload, &root) || !Fields(root, on_field)) return false;
  return AtEnd() || Fail(kMalformed);
}

template <typename OnField>
bool JsonWalk::Object(Value& value, JsonText* out, OnField on_field) {
  const std::string_view token = Token(value);
  if (token.front() != '{') return Check(value, out);
  simdjson::ondemand::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return Fail(kMalformed);
  return Fields(object, on_field) && Leave(value, token.data(), JsonText::Type::kObject, out);
}

template <typename OnElement>
bool JsonWalk::Array(Value& value, JsonText* out, OnElement on_element) {
  const std::string_view token = Token(value);
  if (token.front() != '[') return Check(value, out);
  simdjson::ondemand::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return Fail(kMalformed);
  if (!Enter()) return false;
  for (auto item : array) {
    Value element;
    if (item.get(element) != simdjson::SUCCESS) return Fail(kMalformed);
    if (!on_element(element)) return false;
  }
  --depth_;
  return Leave(value, token.data(), JsonText::Type::kArray, out);
}

template <typename OnField>
bool JsonWalk::Fields(simdjson::ondemand::object& object, OnField on_field) {
  if (!Enter()) return false;
  const size_t first = keys_.size();
  for (auto item : object) {
    simdjson::ondemand::field field;
    if (std::move(item).get(field) != simdjson::SUCCESS) return Fail(kMalformed);
    std::string_view key;
    if (!TakeKey(field.key().raw(), field.value(), first, &key)) return false;
    if (!on_field(key, field.value())) return false;
  }
  const bool all_differ = AllDiffer(first);
  keys_.resize(first);
  --depth_;
  return all_differ;
}

}  // namespace sluice
