#pragma once
#include <cstddef>
#include <cstdint>

// Every length that comes from outside, and every queue, has its bound here and nowhere else. Units last in the name.
namespace syncline::limits {

inline constexpr std::size_t path_bytes = 4096;           // a canonical relative path
inline constexpr std::size_t name_bytes = 255;            // one component of it
inline constexpr std::size_t symlink_target_bytes = 4096;
inline constexpr std::size_t ignore_file_bytes = 256 * 1024;      // a folder's .synclineignore; what is beyond is left out
inline constexpr std::size_t ignore_rules = 1000;                 // in it
inline constexpr std::size_t ignore_pattern_bytes = 1024;         // of one of them
inline constexpr std::size_t value_bytes = 4096;          // payload of a record of the cluster's own folder
inline constexpr std::size_t vector_entries = 65536;      // actors in a version vector
inline constexpr std::size_t context_entries = 1024;      // actors in a record's context
inline constexpr std::size_t node_name_bytes = 64;
inline constexpr std::size_t address_bytes = 272;         // HOST:PORT
inline constexpr std::size_t addresses = 16;              // of one member
inline constexpr std::size_t members = 1024;
inline constexpr std::size_t inline_content_bytes = 256 * 1024;   // a new file up to this size rides with its record
inline constexpr std::size_t range_bytes = 256 * 1024;            // one piece of a pulled content
inline constexpr std::size_t message_bytes = 1024 * 1024;         // one message of a link
inline constexpr std::size_t entries_per_message = 2048;
inline constexpr std::size_t wants_per_message = 512;
inline constexpr std::size_t needs_per_message = 1024;
inline constexpr std::size_t error_text_bytes = 1024;
inline constexpr std::size_t control_request_bytes = 64 * 1024;   // one line of the control socket
inline constexpr std::size_t control_reply_bytes = 64 * 1024 * 1024;
inline constexpr std::size_t folders = 64;                         // of one cluster
inline constexpr std::size_t token_bytes = 8 * 1024;              // an invitation, as text
inline constexpr std::size_t join_members = 64;                   // of a JoinReply; the log brings the others
inline constexpr std::size_t invites = 256;                       // outstanding at one node
inline constexpr std::uint32_t invite_uses = 1000;
inline constexpr std::uint64_t invite_ttl_ms = 30ull * 24 * 3600 * 1000;
inline constexpr std::size_t home_file_bytes = 1024 * 1024;       // config.toml, identity, cluster, members, ...
inline constexpr std::size_t import_file_bytes = 1024 * 1024;     // an rsyncd.conf
inline constexpr std::size_t import_clients = 64;                  // rsync command lines
inline constexpr std::size_t import_line_bytes = 64 * 1024;        // of one of them
inline constexpr std::uint32_t lb_check_probes = 1000;
inline constexpr std::size_t lb_check_servers = 64;
inline constexpr std::uint64_t lb_check_timeout_ms = 60'000;
inline constexpr std::size_t control_clients = 64;
inline constexpr std::size_t agent_clients = 64;                   // of HAProxy's agent-check; one more gets nothing
inline constexpr std::size_t control_path_bytes = 8 * 1024;       // an absolute path in a request
inline constexpr std::size_t status_transfers = 1024;             // shown at once
inline constexpr std::size_t status_problems = 10'000;
inline constexpr std::size_t status_held = 1000;                  // paths that a folder's mode keeps back, shown at once
inline constexpr std::size_t rate_periods = 32;                   // of a bandwidth schedule
inline constexpr std::size_t conflicts_listed = 100'000;
inline constexpr std::uint64_t wait_timeout_ms = 3600ull * 1000;
inline constexpr std::size_t http_threads = 512;                   // made when they are needed
inline constexpr std::size_t http_waits = 256;                    // of them, held by POST /v1/wait: 100 uploads/s that wait 2 s for a dead member
inline constexpr std::size_t http_files = 192;                    // ... and /v1/file; the rest stay for checks
inline constexpr std::size_t http_finds = 128;                    // of those, waiting for files that are not here
inline constexpr std::uint64_t find_timeout_ms = 8'000;           // for a missing file: the members' word, its record, its bytes
inline constexpr std::uint64_t lookup_timeout_ms = 2'000;         // for the members' word alone
inline constexpr std::uint64_t find_patience_ms = find_timeout_ms + 1'000;  // a find ends itself; this much later HTTP does
inline constexpr std::size_t http_ranges = 16;                    // of one request; more: the whole is sent
inline constexpr std::size_t http_piece_bytes = 256 * 1024;       // of a file in memory, a request
inline constexpr std::size_t http_queue = 64;                     // accepted connections waiting for a thread
inline constexpr std::size_t link_control_queue_bytes = 16 * 1024 * 1024;  // waiting for one link; beyond: it is closed
inline constexpr std::size_t link_small_queue_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t link_bulk_queue_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t link_window_bytes = 4 * 1024 * 1024;          // under way on one link
inline constexpr std::size_t link_undelivered_bulk_bytes = 20 * 1024 * 1024;  // behind a lost datagram; ENet stalls at 32 MiB
inline constexpr std::size_t link_undelivered_fast_bytes = 4 * 1024 * 1024;   // the same of each other lane
inline constexpr std::size_t handshake_sources = 1024;             // addresses with a handshake rate of their own
inline constexpr std::size_t join_links = 16;                      // newcomers at once
inline constexpr std::size_t pending_inits = 4;                    // unanswered calls to one peer
inline constexpr std::size_t resolver_queries = 32;                // host names being looked up at once
inline constexpr std::size_t resolved_addresses = 8;               // of one host name
inline constexpr std::uint64_t file_bytes = std::uint64_t{1} << 46;  // 64 TiB
inline constexpr std::uint64_t clock_ahead_ms = 60'000;   // a first hop's record this far ahead of our clock is refused
inline constexpr std::size_t delta_block_bytes = 4096;
inline constexpr std::size_t delta_block_bytes_min = 512;         // of a stored signature's block size, a power of two
inline constexpr std::size_t delta_block_bytes_max = 4 * 1024 * 1024;
inline constexpr std::size_t signature_bytes = std::size_t{1} << 30;   // of a file's encoded block signature
inline constexpr std::size_t delta_chunk_bytes = 128 * 1024;      // new bytes in one literal of a delta
inline constexpr std::size_t delta_lanes = 64;                    // segments of a file scanned at once
inline constexpr std::uint64_t signature_min_file_bytes = 64 * 1024;  // smaller files travel whole
inline constexpr std::size_t kv_key_bytes = 511;                  // of the index; LMDB's own limit
inline constexpr std::size_t kv_batch_bytes = 256 * 1024 * 1024;  // one atomic change of the index
inline constexpr std::size_t kv_readers = 64;                     // reads of the database at once; more wait
inline constexpr std::size_t boot_id_bytes = 64;
inline constexpr std::size_t kept_signature_bytes = 128 * 1024 * 1024;  // a longer one is not kept: the file then travels whole
inline constexpr std::size_t intake_paths = 200'000;              // changed paths waiting to be looked at; more become a scan
inline constexpr std::size_t watch_read_bytes = 64 * 1024;        // of one read of the kernel's event queue
inline constexpr std::size_t watch_open_renames = 4096;           // renames whose second half has not been read yet
inline constexpr std::size_t scan_held_absences = 65'536;         // kept back to the end of a scan
inline constexpr std::size_t staged_parts = 4096;                 // contents on their way into one folder
inline constexpr std::size_t staged_gaps = 4096;                  // pieces of one of them that came before their turn
inline constexpr std::size_t cached_signature_bytes = 256 * 1024 * 1024;  // of contents staged lately
inline constexpr std::size_t limbo_files = 4096;                  // replaced files that an application may still write to

}  // namespace syncline::limits
