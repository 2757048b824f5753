#pragma once
#include <cstdint>
#include <string>

namespace syncline {

// A request to look at one path of a folder (Folder::observe). It claims nothing: what is there now is what
// counts, so a look too many costs a stat and a look too few is a lost write. Made by Intake (from events)
// and Scanner (from a scan).
struct Look {
  std::string path;        // kRootPath: the folder's own directory; "" (with `subtree`): the whole folder
  bool force = false;      // hash it even if the fingerprint is equal (kernel clock ticks are coarse)
  bool written = false;    // an application has closed it after writing
  bool directory = false;  // a hint only: when last seen it was a directory
  bool subtree = false;    // `path` and all below it: to be given to a Scanner, in the order taken
  std::string moved_from;  // where this content was before a rename, "" if that is not known
  std::string reason;      // of a subtree look: why, for `status`
  std::uint32_t attempts = 0;  // how often this was looked at in a row and found busy; kept by Intake::again
};

}  // namespace syncline
