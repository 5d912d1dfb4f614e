// A program's manual page and shell completion, made from what its command line says of itself, so
// that neither can forget an option. Options and commands without a group are hidden from both, as
// they are from --help.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <string>

namespace sluice {

struct ManualText {
  std::string summary;  // ends the sentence "NAME - …"
  std::string source;   // at the page's foot: "sluice 0.1.0"
  std::string more;     // further sections, as roff
};

// Of a program with subcommands: NAME(1). A line of a command's footer is a paragraph.
std::string RenderManual(const CLI::App& program, const ManualText& text);

// For bash: commands and options by where they stand; files behind an option that takes a value.
std::string RenderBashCompletion(const CLI::App& program);
// The same for zsh: a file of its $fpath, named _NAME.
std::string RenderZshCompletion(const CLI::App& program);

// Adds the hidden option --print-docs KIND. It prints the page of that name and ends the program.
void AddDocsOption(CLI::App& program,
                   const std::map<std::string, std::function<std::string()>>& pages);

}  // namespace sluice
