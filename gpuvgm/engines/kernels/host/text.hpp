// What text holds, without parsing it: where rows of CSV end, whether texts are numbers, moments or booleans.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace gpuvgm {

inline bool ends_line(char c) { return c == '\n' || c == '\r'; }

// Length of the whole rows that a text of CSV begins with. A quote counts where a field begins, as for Arrow.
inline size_t length_of_rows(const char* text, size_t size, char delimiter) {
    const auto next_quote = [=](size_t from) {
        const void* found = std::memchr(text + from, '"', size - from);
        return found ? (size_t)((const char*)found - text) : size;
    };
    std::vector<std::pair<size_t, size_t>> outside;  // stretches without quoted fields
    size_t start = 0;
    for (size_t quote = next_quote(0); quote < size;) {
        if (quote > 0 && !ends_line(text[quote - 1]) && text[quote - 1] != delimiter) {
            quote = next_quote(quote + 1);
            continue;
        }
        outside.emplace_back(start, quote);
        do {  // a quote within is written twice
            start = std::min(next_quote(quote + 1) + 1, size);
            quote = start;
        } while (start < size && text[start] == '"');
        quote = next_quote(start);
    }
    outside.emplace_back(start, size);
    for (auto stretch = outside.rbegin(); stretch != outside.rend(); ++stretch) {
        for (size_t end = stretch->second; end > stretch->first; --end) {
            if (ends_line(text[end - 1])) {
                return end;
            }
        }
    }
    return 0;
}

inline bool is_digit(char c) { return '0' <= c && c <= '9'; }

inline const char* after_digits(const char* text, const char* end) {
    while (text < end && is_digit(*text)) {
        ++text;
    }
    return text;
}

// Whether a text is a number: a whole one of so many digits at most, or, where a decimal mark is given, one with the
// mark, with an exponent or with both. Blanks may stand around it; zeros that lead no fraction make a code of it.
inline bool is_number(const char* text, const char* end, int64_t digits, char mark) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (text < end && blank(*text)) {
        ++text;
    }
    while (text < end && blank(end[-1])) {
        --end;
    }
    if (text < end && (*text == '-' || (mark && *text == '+'))) {
        ++text;
    }
    const char* whole = text;
    text = after_digits(whole, end);
    const ptrdiff_t count = text - whole;
    if (count > 1 && *whole == '0') {
        return false;
    }
    if (text == end) {
        return count > 0 && count <= digits;
    }
    const bool marked = mark && *text == mark;
    if (marked) {
        text = after_digits(text + 1, end);
    }
    if (count == 0 && !(marked && is_digit(text[-1]))) {
        return false;
    }
    if (mark && text < end && (*text == 'e' || *text == 'E')) {
        ++text;
        if (text < end && (*text == '-' || *text == '+')) {
            ++text;
        }
        return text < end && after_digits(text, end) == end;
    }
    return marked && text == end;
}

// The number that some digits are; -1 where one of them is none.
inline int number_of(const char* text, int digits) {
    int number = 0;
    for (int place = 0; place < digits; ++place) {
        if (!is_digit(text[place])) {
            return -1;
        }
        number = 10 * number + (text[place] - '0');
    }
    return number;
}

inline bool is_day(const char* text) {
    const int year = number_of(text, 4), month = number_of(text + 5, 2), day = number_of(text + 8, 2);
    if (text[4] != '-' || text[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    const int days = month == 2 ? 28 + leap : 30 + ((month + month / 8) % 2);
    return day <= days;
}

// Whether a text of so many characters at most is a day, or a day with a time to the microsecond; with a Z at the end
// where a zone is asked for.
inline bool is_moment(const char* text, const char* end, int64_t most, bool zoned) {
    if (end - text > most || end - text < 10 || !is_day(text)) {
        return false;
    }
    if (zoned && *--end != 'Z') {
        return false;
    }
    if (end - text == 10) {
        return !zoned;
    }
    if (end - text < 19 || (text[10] != ' ' && text[10] != 'T') || text[13] != ':' || text[16] != ':') {
        return false;
    }
    const int hour = number_of(text + 11, 2), minute = number_of(text + 14, 2), second = number_of(text + 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) {
        return false;
    }
    const char* fraction = text + 19;
    return fraction == end || (*fraction == '.' && end - fraction > 1 && after_digits(fraction + 1, end) == end);
}

inline bool is_boolean(const char* text, const char* end) {
    for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
        if (std::strlen(word) == (size_t)(end - text) && std::memcmp(word, text, end - text) == 0) {
            return true;
        }
    }
    return false;
}

// What a column of CSV is asked for: numbers of so many digits, moments or booleans of so many characters at most;
// without any it is not asked.
struct FieldRule {
    int64_t most;
    char form;  // 'd' for moments, 'z' for those of UTC, 'b' for booleans, else the decimal mark of numbers
};

// Whether a text is plainly what a rule asks for, so that no parser has to say so.
inline bool is_plain(const char* text, const char* end, FieldRule rule) {
    switch (rule.form) {
        case 'd':
        case 'z':
            return is_moment(text, end, rule.most, rule.form == 'z');
        case 'b':
            return is_boolean(text, end);
        default:
            return is_number(text, end, rule.most, rule.form);
    }
}

// For each column of rows of CSV whether it was asked and all its fields are plain, or empty, and none is quoted.
// None is where a row has another number of fields. Quotes and ends of lines count as in `length_of_rows`.
inline std::vector<uint8_t> plain_columns(const char* text, size_t size, char delimiter,
                                          const std::vector<FieldRule>& rules) {
    const char* const end = text + size;
    const std::vector<uint8_t> none(rules.size());
    std::vector<uint8_t> plain;
    for (const FieldRule& rule : rules) {
        plain.push_back(rule.most > 0);
    }
    while (text < end) {
        if (ends_line(*text)) {  // of an empty line
            ++text;
            continue;
        }
        for (size_t column = 0;; ++text) {
            if (column == rules.size()) {
                return none;
            }
            const char* const field = text;
            if (text < end && *text == '"') {
                plain[column] = 0;
                do {  // a quote within is written twice
                    text = (const char*)std::memchr(text + 1, '"', end - text - 1);
                    if (!text) {
                        return none;
                    }
                } while (++text < end && *text == '"');
            }
            while (text < end && *text != delimiter && !ends_line(*text)) {
                ++text;
            }
            if (plain[column] && field < text) {
                plain[column] = is_plain(field, text, rules[column]);
            }
            ++column;
            if (text == end || *text != delimiter) {
                if (column < rules.size()) {
                    return none;
                }
                break;
            }
        }
    }
    return plain;
}

}  // namespace gpuvgm
