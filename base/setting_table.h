// The table that describes every setting of a program: from it come the parser, --print-config,
// the help and the page of documentation, so that none of them can forget a setting.
//
//   SettingTable<Settings> table;
//   table.Group("Broker");
//   table.Add("MQTT_PORT", &Settings::mqtt_port, PortSetting(), "1883", "Port of the broker.");
//
// Settings are read from the environment. An empty variable counts as not set. A secret NAME may
// also be given as NAME_FILE, the path of a file that holds it; one newline at its end is dropped.
#pragma once

#include <cassert>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace sluice {

// getenv(3), or a test's: nullptr when the variable is not set.
using Environment = std::function<const char*(const char* name)>;

// What a setting's text may be and how it becomes a V.
template <typename V>
struct SettingType {
  std::string name;     // "duration"
  std::string unit;     // what a bare number counts: "ms"; empty where there is no such thing
  std::string range;    // "1 to 65535"; empty when every value of the type will do
  std::string accepts;  // ends the sentence "it must be …"
  std::function<std::optional<V>(std::string_view text)> parse;  // nullopt: not acceptable
};

SettingType<std::string> TextSetting();
// Separated by commas; spaces around are cut. An empty default is a list without places.
SettingType<std::vector<std::string>> ListSetting();
SettingType<int64_t> IntegerSetting(int64_t least, int64_t most);
SettingType<double> RealSetting(double least, double most);
SettingType<bool> FlagSetting();
SettingType<uint16_t> PortSetting(uint16_t least = 1);
SettingType<uint64_t> BytesSetting(uint64_t least, uint64_t most);
// `unit` is what a bare number counts.
SettingType<std::chrono::milliseconds> DurationSetting(std::chrono::milliseconds unit,
                                                       std::chrono::milliseconds least,
                                                       std::chrono::milliseconds most);
// The place in `names` of the text, whatever its case.
SettingType<size_t> ChoiceSetting(std::vector<std::string> names);
template <typename E>
SettingType<E> ChoiceSetting(std::vector<std::pair<std::string, E>> choices);

// One row, as everything but the parser sees it.
struct Setting {
  std::string name;
  std::string group;
  std::string type;
  std::string unit;
  std::string range;
  std::string accepts;
  std::string default_text;  // empty: none
  std::string meaning;       // a sentence or two
  bool secret = false;
  bool reloadable = false;  // may change while the program runs
};

enum class SettingSource { kDefault, kEnvironment, kFile };

// What was given for one setting, not judged yet.
struct SettingValue {
  std::string text;
  SettingSource source = SettingSource::kDefault;
};

struct SettingError {
  std::string name;     // of the setting that is wrong; empty when several are wrong together
  std::string message;  // a sentence that begins with the names
};

// One value a setting, in the settings' order. What cannot be read (a secret given twice, a file
// that cannot be read) is added to `errors`.
std::vector<SettingValue> ReadSettings(const std::vector<Setting>& settings,
                                       const Environment& environment,
                                       std::vector<SettingError>* errors);

// "NAME=value", the value as ******** when it is a secret; escaped.
std::string ShowSetting(const Setting& setting, std::string_view text);

// "NAME=value  # default" lines for --print-config; secrets masked.
std::string RenderSettings(const std::vector<Setting>& settings,
                           const std::vector<SettingValue>& values);
// Text for --help.
std::string RenderSettingsHelp(const std::vector<Setting>& settings);
// One Markdown section with a table for each group.
std::string RenderSettingsMarkdown(const std::vector<Setting>& settings);
// One section of a manual page for each group.
std::string RenderSettingsManual(const std::vector<Setting>& settings);
// A file of NAME=value lines, for systemd and sh: the defaults, each behind a '#' and what it
// means.
std::string RenderSettingsFile(const std::vector<Setting>& settings);

// The rows, each bound to a field of S. Built by one thread; const use is thread-safe.
template <typename S>
class SettingTable {
 public:
  // Begins a group; the rows added next belong to it.
  void Group(std::string name) { group_ = std::move(name); }

  // The reference is valid until the next Add: for setting `secret` and `reloadable`.
  template <typename V>
  Setting& Add(std::string name, V S::*field, SettingType<V> type, std::string default_text,
               std::string meaning) {
    assign_.push_back([field, parse = std::move(type.parse)](std::string_view text, S* target) {
      std::optional<V> value = parse(text);
      if (!value) return false;
      target->*field = *std::move(value);
      return true;
    });
    Setting& setting = settings_.emplace_back();
    setting.name = std::move(name);
    setting.group = group_;
    setting.type = std::move(type.name);
    setting.unit = std::move(type.unit);
    setting.range = std::move(type.range);
    setting.accepts = std::move(type.accepts);
    setting.default_text = std::move(default_text);
    setting.meaning = std::move(meaning);
    return setting;
  }

  const std::vector<Setting>& settings() const { return settings_; }

  // nullptr when there is no such setting.
  const Setting* Find(std::string_view name) const {
    for (const Setting& setting : settings_) {
      if (setting.name == name) return &setting;
    }
    return nullptr;
  }

  // Sets the fields of `target`. `values` as ReadSettings gave them; each that will not do is
  // added to `errors` and leaves its field alone.
  void Assign(const std::vector<SettingValue>& values, S* target,
              std::vector<SettingError>* errors) const {
    assert(values.size() == settings_.size());
    for (size_t i = 0; i < values.size(); ++i) AssignRow(i, values[i].text, target, errors);
  }

  // Sets the one field, or says what is wrong with `name` or `text`.
  Status Assign(std::string_view name, std::string_view text, S* target) const {
    const Setting* setting = Find(name);
    if (setting == nullptr) {
      return {ErrorCode::kNotFound, "there is no setting " + std::string(name)};
    }
    std::vector<SettingError> errors;
    AssignRow(static_cast<size_t>(setting - settings_.data()), text, target, &errors);
    return errors.empty() ? Status::Ok()
                          : Status(ErrorCode::kInvalidArgument, errors.front().message);
  }

 private:
  void AssignRow(size_t row, std::string_view text, S* target,
                 std::vector<SettingError>* errors) const {
    if (assign_[row](text, target)) return;
    const Setting& setting = settings_[row];
    errors->push_back(
        {setting.name, ShowSetting(setting, text) + ": it must be " + setting.accepts});
  }

  std::string group_;
  std::vector<Setting> settings_;
  std::vector<std::function<bool(std::string_view, S*)>> assign_;  // in the order of settings_
};

template <typename E>
SettingType<E> ChoiceSetting(std::vector<std::pair<std::string, E>> choices) {
  std::vector<std::string> names;
  std::vector<E> values;
  for (auto& [name, value] : choices) {
    names.push_back(std::move(name));
    values.push_back(value);
  }
  SettingType<size_t> place = ChoiceSetting(std::move(names));
  return {std::move(place.name), std::move(place.unit), std::move(place.range),
          std::move(place.accepts),
          [values = std::move(values),
           parse = std::move(place.parse)](std::string_view text) -> std::optional<E> {
            const std::optional<size_t> index = parse(text);
            if (!index) return std::nullopt;
            return values[*index];
          }};
}

}  // namespace sluice
