#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/control.h"

// Replies as text for people. Pure; nothing that came from a file name or another node reaches the terminal
// unescaped.
namespace syncline {

std::string render(const StatusReply& status);
std::string render_folders(const StatusReply& status);
std::string render(const MembersReply& members);
std::string render(const InviteReply& invite);
std::string render(const ConflictsReply& conflicts);
std::string render(const ConflictShowReply& conflict);
std::string render(const WaitReply& wait);
std::string render(const ReadyReply& ready);
std::string render(const DrainReply& drain);
std::string render(const VerifyReply& verify);

std::string human_size(std::uint64_t bytes);        // "0 B", "1.5 KiB", "12 MiB"
std::string human_count(std::uint64_t n);           // "12,345"
std::string human_duration(std::uint64_t seconds);  // "5s", "3m 12s", "2h 5m", "4d 3h"
std::string human_rtt(std::uint32_t us);            // "0.4 ms"

// Columns as wide as their widest cell, two blanks between them.
class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string head;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns);
  void row(std::vector<std::string> cells);  // made printable here; as many as there are columns
  std::string text(std::string_view indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace syncline
