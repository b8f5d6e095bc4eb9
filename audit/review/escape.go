package review

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes text from a log safe to show on a terminal: control characters (C0, DEL, C1), characters that change the
// direction of writing or are not visible, and bytes that are not UTF-8 become \n, \r, \t, \xNN or \uNNNN.
func Escape(s string) string {
	if !strings.ContainsFunc(s, hostile) && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !hostile(r):
			b.WriteRune(r)
		case r == '\n', r == '\r', r == '\t':
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hostile reports whether a terminal would act on r instead of showing it. Cf holds the bidirectional controls, the zero-width
// characters and the tags; Zl and Zp are line and paragraph separators.
func hostile(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co)
}

// escapeJSON replaces hostile characters in a line of JSON by JSON's own escapes, which mean the same.
func escapeJSON(line []byte) []byte {
	if !strings.ContainsFunc(string(line), hostile) && utf8.Valid(line) {
		return line
	}
	var b []byte
	for _, r := range string(line) {
		switch {
		case !hostile(r):
			b = utf8.AppendRune(b, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b
}
