// What text holds, without parsing it: where rows of CSV end, whether texts are numbers.
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

// Numbers that a column of CSV is asked for; without digits it is not asked.
struct FieldRule {
    int64_t digits;
    char mark;
};

// For each column of rows of CSV whether it was asked and all its fields are numbers, or empty, and none is quoted.
// None is where a row has another number of fields. Quotes and ends of lines count as in `length_of_rows`.
inline std::vector<uint8_t> columns_of_numbers(const char* text, size_t size, char delimiter,
                                               const std::vector<FieldRule>& rules) {
    const char* const end = text + size;
    const std::vector<uint8_t> none(rules.size());
    std::vector<uint8_t> numbers;
    for (const FieldRule& rule : rules) {
        numbers.push_back(rule.digits > 0);
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
                numbers[column] = 0;
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
            if (numbers[column] && field < text) {
                numbers[column] = is_number(field, text, rules[column].digits, rules[column].mark);
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
    return numbers;
}

}  // namespace gpuvgm
