#pragma once
#include <map>
#include <string>
#include <string_view>

namespace syncline {

// Lines of somebody else's configuration with our words in them:
//   @{name}        the word; one of several lines brings its line's indent with it
//   ?name TEXT     the line is there only where the word is not empty
//   TEXT @@key     --explain says above this line what it replaces
// A word that nobody gave is a bug (assert).
using LbWords = std::map<std::string, std::string, std::less<>>;

// What stood in the old set-up, and why it is not needed any more; empty: nothing to say about this key.
using LbExplain = std::map<std::string, std::string, std::less<>>;

// `comment`: how a line of this language is made a comment, with @{} for its text: "# @{}" or "<!-- @{} -->".
// An empty `explain` explains nothing.
std::string lb_fill(std::string_view lines, const LbWords& words, const LbExplain& explain,
                    std::string_view comment);

}  // namespace syncline
