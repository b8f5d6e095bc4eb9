package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse/gatehouse/api"
)

func TestToError(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	secret := errors.New("dial 10.1.2.3:2379: password s3cr3t")
	tests := []struct {
		name       string
		err        error
		wantCode   int
		wantReason metav1.StatusReason
	}{
		{"ours, wrapped twice", fmt.Errorf("b: %w", fmt.Errorf("a: %w", api.NotFound(pods, "x"))), 404, metav1.StatusReasonNotFound},
		{"of the Kubernetes libraries", fmt.Errorf("a: %w", apierrors.NewConflict(pods, "x", secret)), 409, metav1.StatusReasonConflict},
		{"a deadline", fmt.Errorf("a: %w", context.DeadlineExceeded), 504, metav1.StatusReasonTimeout},
		{"a cancelled request", context.Canceled, 504, metav1.StatusReasonTimeout},
		{"anything else is internal", secret, 500, metav1.StatusReasonInternalError},
		{"too many requests asks for at least a second", api.TooManyRequests("slow down", 0), 429, metav1.StatusReasonTooManyRequests},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := api.ToError(tt.err)
			if e.Code() != tt.wantCode || e.Reason() != tt.wantReason {
				t.Errorf("got %d %s, want %d %s", e.Code(), e.Reason(), tt.wantCode, tt.wantReason)
			}
			if tt.name == "anything else is internal" && strings.Contains(e.Status.Message, "s3cr3t") {
				t.Errorf("the client would read the cause: %q", e.Status.Message)
			}
			if !errors.Is(e, tt.err) && e.Unwrap() == nil && !errors.As(tt.err, &e) {
				t.Error("the cause is lost")
			}
		})
	}
	if api.ToError(nil) != nil {
		t.Error("ToError(nil) is not nil")
	}
}

func TestUnauthorizedSaysNothing(t *testing.T) {
	e := api.Unauthorized(errors.New("token of alice expired"))
	want := metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Message: "Unauthorized",
	}
	if diff := cmp.Diff(want, e.Status); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.Contains(e.Error(), "alice") {
		t.Error("the log would not learn the cause")
	}
}

func TestWrapKeepsTheOriginal(t *testing.T) {
	base := api.BadRequest("x")
	cause := errors.New("cause")
	if wrapped := base.Wrap(cause); !errors.Is(wrapped, cause) || base.Unwrap() != nil {
		t.Errorf("Wrap changed its receiver or lost the cause: %v, %v", wrapped, base)
	}
}

func TestUserGroups(t *testing.T) {
	groups := make([]string, 1, 4)
	groups[0] = "a"
	u := api.User{Name: "u", Groups: groups}
	v, w := u.WithGroup("b"), u.WithGroup("c")
	if diff := cmp.Diff([]string{"a", "b"}, v.Groups); diff != "" {
		t.Errorf("two users share the array behind their groups:\n%s", diff)
	}
	if !w.InGroup("c") || w.InGroup("b") || len(u.WithGroup("a").Groups) != 1 {
		t.Errorf("groups are wrong: %v %v", v, w)
	}
}

func TestSelectors(t *testing.T) {
	for name, text := range map[string]string{
		"nonsense":          "a===b",
		"too many terms":    strings.Repeat("a,", api.MaxSelectorTerms) + "a",
		"too many bytes":    strings.Repeat("a", api.MaxSelectorBytes+1),
		"an unclosed set":   "a in (b",
		"a bad label value": "a=b c",
	} {
		if sel, err := api.ParseLabelSelector(text); !api.IsReason(err, metav1.StatusReasonBadRequest) {
			t.Errorf("label selector, %s: got %v, %v; want a 400", name, sel, err)
		}
	}
	for name, text := range map[string]string{
		"no operator":    "spec.nodeName",
		"too many terms": strings.Repeat("a=b,", api.MaxSelectorTerms) + "a=b",
		"too many bytes": "a=" + strings.Repeat("b", api.MaxSelectorBytes),
	} {
		if sel, err := api.ParseFieldSelector(text); !api.IsReason(err, metav1.StatusReasonBadRequest) {
			t.Errorf("field selector, %s: got %v, %v; want a 400", name, sel, err)
		}
	}
	sel, err := api.ParseLabelSelector("app in (a,b),!x")
	if err != nil || !sel.Matches(labels.Set{"app": "b"}) || sel.Matches(labels.Set{"app": "b", "x": ""}) {
		t.Errorf("label selector does not select: %v, %v", sel, err)
	}
}

func FuzzSelectors(f *testing.F) {
	for _, s := range []string{"", "a=b", "a in (b,c),!d", "metadata.name=x", "a!=b,c==d", "a\\,b=c", "x notin (y)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if sel, err := api.ParseLabelSelector(s); err == nil {
			again, err := api.ParseLabelSelector(sel.String())
			if err != nil || again.String() != sel.String() {
				t.Fatalf("label selector %q is not stable: %q, %v", s, sel, err)
			}
		}
		if sel, err := api.ParseFieldSelector(s); err == nil {
			again, err := fields.ParseSelector(sel.String())
			if err != nil || again.String() != sel.String() {
				t.Fatalf("field selector %q is not stable: %q, %v", s, sel, err)
			}
		}
	})
}

func TestWarnings(t *testing.T) {
	var w api.Warnings
	w.Add("a\r\nSet-Cookie: x")
	w.Add("a\r\nSet-Cookie: x")
	w.Add(strings.Repeat("é", api.MaxWarningBytes))
	for i := range api.MaxWarnings {
		w.Add(fmt.Sprint(i))
	}
	list := w.List()
	if len(list) != api.MaxWarnings {
		t.Errorf("%d warnings kept, the bound is %d", len(list), api.MaxWarnings)
	}
	if list[0] != "a  Set-Cookie: x" || list[1] == list[0] {
		t.Errorf("control characters or duplicates got through: %q", list[:2])
	}
	if len(list[1]) > api.MaxWarningBytes || strings.Contains(list[1], "\uFFFD") {
		t.Errorf("a long warning was cut inside a character or not at all: %d bytes", len(list[1]))
	}
	(*api.Warnings)(nil).Add("ignored")
}

// TestWarningsFitAnAnswer guards the bound of clients on headers: many or long warnings are told by their beginnings, as kube-apiserver does.
func TestWarningsFitAnAnswer(t *testing.T) {
	long := strings.Repeat("é", 300)
	for name, tc := range map[string]struct {
		add  []string
		want []int // characters
	}{
		"few long ones are whole":      {[]string{long, long + "a"}, []int{300, 301}},
		"one that is too long":         {[]string{strings.Repeat("a", 5000)}, []int{256}},
		"together too long":            {[]string{"a", strings.Repeat("a", 4000), long}, []int{1, 256, 256}},
		"of many short ones, the rest": {numbered(1000, 100), slices.Repeat([]int{103}, 40)},
	} {
		t.Run(name, func(t *testing.T) {
			var w api.Warnings
			for _, text := range tc.add {
				w.Add(text)
			}
			var got []int
			for _, text := range w.List() {
				got = append(got, utf8.RuneCountInString(text))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v characters, want %v", got, tc.want)
			}
		})
	}
}

// numbered are texts of size characters and a number of three digits.
func numbered(n, size int) []string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf("%03d", i%1000)+strings.Repeat("a", size))
	}
	return texts
}
