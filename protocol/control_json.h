#pragma once
#include <fmt/format.h>

#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "protocol/control_text.h"
#include "protocol/error.h"
#include "protocol/ids.h"

// Private to protocol/control*.cpp: writing and reading structs as JSON objects. A struct is described once,
// by `template <class Io, class T> void fields(Io& io, T& v)` naming its members, so that both directions
// cannot drift apart.
namespace syncline::json {

using Json = nlohmann::ordered_json;  // fields keep their order: people read this

class Out;
class In;

// Enums are written as words: names(E) gives them in the order of the values, which start at 0.
template <class E>
concept Named = std::is_enum_v<E> && requires(E e) {
  names(e).size();
};
template <class T>
concept Described = requires(Out& io, const T& v) {
  fields(io, v);
};
// For those descriptions: T is S, const (written) or not (read).
template <class T, class S>
concept Is = std::same_as<std::remove_const_t<T>, S>;

class Out {
 public:
  explicit Out(Json& object) : object_(object) {}
  template <class T>
  void operator()(const char* name, const T& v, std::size_t = 0) {
    put(name, v);
  }

 private:
  void put(const char* name, const std::string& v) {
    object_[name] = as_utf8(v);
    if (!is_utf8(v)) object_[std::string(name) + "_hex"] = to_hex(v);
  }
  void put(const char* name, bool v) { object_[name] = v; }
  template <std::unsigned_integral T>
  void put(const char* name, T v) {
    object_[name] = v;
  }
  void put(const char* name, const WallTime& v) { object_[name] = v.ms == 0 ? Json() : Json(iso8601(v)); }
  template <std::size_t N, class Tag>
  void put(const char* name, const FixedBytes<N, Tag>& v) {
    object_[name] = to_hex(v);
  }
  template <Named E>
  void put(const char* name, E v) {
    object_[name] = names(v)[static_cast<std::size_t>(v)];
  }
  template <class T>
  void put(const char* name, const std::vector<T>& v) {
    Json list = Json::array();
    for (const T& item : v) {
      if constexpr (Described<T>) {
        list.push_back(Json::object());
        Out io(list.back());
        fields(io, item);
      } else {
        list.push_back(as_utf8(item));
      }
    }
    object_[name] = std::move(list);
  }
  template <Described T>
  void put(const char* name, const T& v) {
    Json inner = Json::object();
    Out io(inner);
    fields(io, v);
    object_[name] = std::move(inner);
  }

  Json& object_;
};

// Reads the fields that are there into the struct; the first that has the wrong type or is too long makes it
// fail. What is absent keeps its value: which fields a request cannot do without, its decoder says.
class In {
 public:
  explicit In(const Json& object) : object_(object) {
    if (!object.is_object()) fail("an object is wanted");
  }
  // `limit`: bytes of a string, items of a list, greatest value of an integer (0: no bound but its type's).
  template <class T>
  void operator()(const char* name, T& v, std::size_t limit = 0) {
    if (!error_.empty()) return;
    const auto at = object_.find(name);
    if constexpr (std::same_as<T, std::string>) {
      if (const auto hex = object_.find(std::string(name) + "_hex"); hex != object_.end())
        return raw(name, *hex, v, limit);
    }
    if (at == object_.end()) return;
    get(name, *at, v, limit);
  }
  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }
  void fail(std::string what) {
    if (error_.empty()) error_ = std::move(what);
  }

 private:
  static constexpr std::size_t kText = 4096;  // bound of strings that name none

  void wrong(const char* name, const char* wanted) { fail(fmt::format("\"{}\" must be {}", name, wanted)); }
  void raw(const char* name, const Json& j, std::string& v, std::size_t limit) {
    const auto bytes = j.is_string() ? from_hex(j.get_ref<const std::string&>()) : std::nullopt;
    if (!bytes || bytes->size() > (limit ? limit : kText)) return wrong(name, "hexadecimal, not too long");
    v = *bytes;
  }
  void get(const char* name, const Json& j, std::string& v, std::size_t limit) {
    if (!j.is_string()) return wrong(name, "a string");
    v = j.get_ref<const std::string&>();
    if (v.size() > (limit ? limit : kText)) wrong(name, "shorter");
  }
  void get(const char* name, const Json& j, bool& v, std::size_t) {
    if (!j.is_boolean()) return wrong(name, "true or false");
    v = j.get<bool>();
  }
  template <std::unsigned_integral T>
  void get(const char* name, const Json& j, T& v, std::size_t limit) {
    const std::uint64_t most = limit ? limit : std::numeric_limits<T>::max();
    if (!j.is_number_unsigned() || j.get<std::uint64_t>() > most)
      return fail(fmt::format("\"{}\" must be a whole number up to {}", name, most));
    v = static_cast<T>(j.get<std::uint64_t>());
  }
  void get(const char* name, const Json& j, WallTime& v, std::size_t) {
    if (j.is_null()) return void(v = {});
    const auto time = j.is_string() ? parse_iso8601(j.get_ref<const std::string&>()) : std::nullopt;
    if (!time) return wrong(name, "a time like 2026-05-04T12:34:56.789Z");
    v = *time;
  }
  template <std::size_t N, class Tag>
  void get(const char* name, const Json& j, FixedBytes<N, Tag>& v, std::size_t) {
    const auto bytes = j.is_string() ? from_hex(j.get_ref<const std::string&>()) : std::nullopt;
    if (!bytes || bytes->size() != N) return wrong(name, "hexadecimal of the right length");
    v = FixedBytes<N, Tag>::from(*bytes);
  }
  template <Named E>
  void get(const char* name, const Json& j, E& v, std::size_t) {
    const auto& words = names(v);
    for (std::size_t i = 0; i < words.size(); ++i)
      if (j.is_string() && j.get_ref<const std::string&>() == words[i]) return void(v = static_cast<E>(i));
    wrong(name, "one of the known words");
  }
  template <class T>
  void get(const char* name, const Json& j, std::vector<T>& v, std::size_t limit) {
    if (!j.is_array() || j.size() > limit) return wrong(name, "a list, not too long");
    for (const Json& item : j) {
      get(name, item, v.emplace_back(), 0);
      if (!ok()) return;
    }
  }
  template <Described T>
  void get(const char* name, const Json& j, T& v, std::size_t) {
    In io(j);
    if (io.ok()) fields(io, v);
    if (!io.ok()) fail(fmt::format("{}: {}", name, io.error()));
  }

  const Json& object_;
  std::string error_;
};

template <class T>
Json to_json(const T& v) {
  Json object = Json::object();
  Out io(object);
  fields(io, v);
  return object;
}

}  // namespace syncline::json
