#pragma once
#include <functional>
#include <vector>

#include "protocol/delta.h"

namespace syncline {

// Calls work(0) .. work(lanes - 1) by means of options.run, or here.
template <class Work>
void run_lanes(const DeltaOptions& options, std::size_t lanes, const Work& work) {
  if (!options.run || lanes <= 1) {
    for (std::size_t lane = 0; lane < lanes; ++lane) work(lane);
    return;
  }
  std::vector<std::function<void()>> tasks;
  for (std::size_t lane = 0; lane < lanes; ++lane) tasks.emplace_back([&work, lane] { work(lane); });
  options.run(tasks);
}

}  // namespace syncline
