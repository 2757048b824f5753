#pragma once
#include <string>
#include <string_view>

namespace syncline {

// Raw bytes. Owned ones are a std::string, borrowed ones a std::string_view; neither says anything about text.
using Bytes = std::string;
using BytesView = std::string_view;

}  // namespace syncline
