package api_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/api"
)

func TestCut(t *testing.T) {
	for name, tc := range map[string]struct {
		text           string
		n              int
		cut, shortened string
	}{
		"short":            {"abc", 3, "abc", "abc"},
		"long":             {"abcdef", 5, "abcde", "ab..."},
		"within a letter":  {"aéé", 4, "aé", "a..."},
		"within an arrow":  {"→→→", 5, "→", "..."},
		"only dots remain": {"abcd", 3, "abc", "..."},
		"nothing":          {"", 3, "", ""},
		"one long letter":  {"🙂🙂", 3, "", "..."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := api.Cut(tc.text, tc.n); got != tc.cut {
				t.Errorf("Cut(%q, %d) = %q, want %q", tc.text, tc.n, got, tc.cut)
			}
			if got := api.Shorten(tc.text, tc.n); got != tc.shortened {
				t.Errorf("Shorten(%q, %d) = %q, want %q", tc.text, tc.n, got, tc.shortened)
			}
		})
	}
}

func TestLine(t *testing.T) {
	if got := api.Line("a\r\nb\tc\x7fd\u0085e é→"); got != "a  b c d e é→" {
		t.Errorf("control characters got through: %q", got)
	}
}

// FuzzCut guards the bounds, and texts that are valid from becoming invalid.
func FuzzCut(f *testing.F) {
	f.Add("aéé", 4)
	f.Add("\xff\xfe", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		if n < 3 || n > 1<<20 {
			return
		}
		cut, short := api.Cut(text, n), api.Shorten(text, n)
		if len(cut) > n || len(short) > n || !strings.HasPrefix(text, cut) {
			t.Errorf("%q and %q are no beginnings of %q in %d bytes", cut, short, text, n)
		}
		if utf8.ValidString(text) && (!utf8.ValidString(cut) || !utf8.ValidString(short)) {
			t.Errorf("%q and %q split a character", cut, short)
		}
	})
}
