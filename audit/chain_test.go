package audit_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/audit"
)

func chainLine(event, seq, prev, hash string) string {
	return strings.TrimSuffix(event, "}") + `,"gatehouse":{"seq":` + seq + `,"prev":"` + prev + `","hash":"` + hash + `"}}`
}

func TestParseLineAcceptsOneSpelling(t *testing.T) {
	zeros, hex := strings.Repeat("0", 64), strings.Repeat("0a", 32)
	good := chainLine(`{"kind":"Event"}`, "12", zeros, hex)
	event, link, err := audit.ParseLine([]byte(good))
	if err != nil || string(event) != `{"kind":"Event"` || link.Seq != 12 || link.Hash.String() != hex {
		t.Fatalf("ParseLine = %q, %+v, %v", event, link, err)
	}
	bad := map[string]string{
		"empty line":                    "",
		"event of another server":       `{"kind":"Event","apiVersion":"audit.k8s.io/v1"}`,
		"upper-case hex":                chainLine(`{"kind":"Event"}`, "12", zeros, strings.ToUpper(hex)),
		"leading zero":                  chainLine(`{"kind":"Event"}`, "012", zeros, hex),
		"zero":                          chainLine(`{"kind":"Event"}`, "0", zeros, hex),
		"no digits":                     chainLine(`{"kind":"Event"}`, "", zeros, hex),
		"too large":                     chainLine(`{"kind":"Event"}`, "18446744073709551616", zeros, hex),
		"more digits than a number has": chainLine(`{"kind":"Event"}`, strings.Repeat("1", 40), zeros, hex),
		"negative":                      chainLine(`{"kind":"Event"}`, "-1", zeros, hex),
		"not hex":                       chainLine(`{"kind":"Event"}`, "1", zeros, strings.Repeat("g", 64)),
		"space inside the member":       strings.Replace(good, `"prev":`, `"prev": `, 1),
		"carriage return at the end":    good + "\r",
		"bytes after the object":        good + " ",
		"member not the last":           strings.TrimSuffix(good, "}") + `,"x":1}`,
		"does not begin an object":      "x" + good[1:],
		"event without members":         chainLine(`{}`, "1", zeros, hex),
	}
	for name, line := range bad {
		t.Run(name, func(t *testing.T) {
			if _, link, err := audit.ParseLine([]byte(line)); err == nil {
				t.Errorf("accepted as %+v: %s", link, line)
			}
		})
	}
}

func TestHashCoversEveryPart(t *testing.T) {
	h := audit.NewHasher()
	base := h.Sum(audit.Digest{}, 1, []byte(`{"a":1`))
	if again := h.Sum(audit.Digest{}, 1, []byte(`{"a":1`)); again != base {
		t.Fatal("the hash of the same record differs")
	}
	others := map[string]audit.Digest{
		"predecessor": h.Sum(audit.Digest{1}, 1, []byte(`{"a":1`)),
		"number":      h.Sum(audit.Digest{}, 256, []byte(`{"a":1`)),
		"event":       h.Sum(audit.Digest{}, 1, []byte(`{"a":2`)),
	}
	for name, sum := range others {
		if sum == base {
			t.Errorf("the hash does not depend on the %s", name)
		}
	}
}

// FuzzParseLine checks that what is accepted has exactly the spelling that the log writes.
func FuzzParseLine(f *testing.F) {
	zeros, hex := strings.Repeat("0", 64), strings.Repeat("0a", 32)
	f.Add([]byte(chainLine(`{"kind":"Event"}`, "1", zeros, hex)))
	f.Add([]byte(chainLine(`{"kind":"Event"}`, "18446744073709551615", hex, zeros)))
	f.Add([]byte(chainLine(`{"kind":"Event"}`, "01", hex, zeros)))
	f.Add([]byte(`{"kind":"Event"}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, line []byte) {
		event, link, err := audit.ParseLine(line)
		if err != nil {
			return
		}
		again := chainLine(string(event)+"}", fmt.Sprint(link.Seq), link.Prev.String(), link.Hash.String())
		if !bytes.Equal(line, []byte(again)) {
			t.Errorf("accepted %q, which is written %q", line, again)
		}
	})
}
