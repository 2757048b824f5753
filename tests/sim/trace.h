#pragma once
#include <string>

#include "node/events.h"
#include "tests/sim/world.h"

// One line for a trace, of what goes into a replica and what comes out.
namespace syncline::sim {

std::string to_text(const Event& event, const World& world);
std::string to_text(const Effect& effect, const World& world);
std::string to_text(const FileOutcome& outcome);
std::string to_text(const Content& content);
std::string to_text(const Record& record);
std::string to_text(const Conflict& conflict);
std::string message_text(BytesView message);

}  // namespace syncline::sim
