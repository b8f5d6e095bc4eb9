package audit_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/audit"
)

func fullEvent() audit.Event {
	return audit.Event{
		Kind: "Event", APIVersion: "audit.k8s.io/v1", Level: audit.LevelRequestResponse, AuditID: "8f1f", Stage: audit.StageResponseComplete,
		RequestURI: "/api/v1/namespaces/default/pods?a=1&b=<2>", Verb: "create",
		User: audit.UserInfo{
			Username: "alice", UID: "u1", Groups: []string{"dev", "system:authenticated"},
			Extra: map[string][]string{"z": {"1", "2"}, "a": {}, "m": nil},
		},
		ImpersonatedUser: &audit.UserInfo{Username: "bob"},
		SourceIPs:        []string{"203.0.113.9", "::1"}, UserAgent: "kubectl/v1.36.3",
		ObjectRef: &audit.ObjectReference{
			Resource: "pods", Namespace: "default", Name: "web", UID: "u2", APIGroup: "apps", APIVersion: "v1", ResourceVersion: "7", Subresource: "status",
		},
		ResponseStatus: &metav1.Status{
			Status: "Failure", Message: "no", Reason: metav1.StatusReasonForbidden, Code: 403,
			Details: &metav1.StatusDetails{Kind: "pods", Causes: []metav1.StatusCause{{Field: "spec", Message: "<>&"}}},
		},
		RequestObject: json.RawMessage(`{"kind":"Pod"}`), ResponseObject: json.RawMessage(`{"kind":"Status"}`),
		RequestReceivedTimestamp: metav1.NewMicroTime(at()),
		StageTimestamp:           metav1.NewMicroTime(at().In(time.FixedZone("x", 3600)).Add(1500 * time.Nanosecond)),
		Annotations:              map[string]string{"b": "2", "a": "1", "<": "\u2028"},
	}
}

func TestEncoderEqualsTheLibrary(t *testing.T) {
	cases := map[string]func(*audit.Event){
		"every field":            func(*audit.Event) {},
		"nothing":                func(e *audit.Event) { *e = audit.Event{} },
		"success is a code only": func(e *audit.Event) { e.ResponseStatus = &metav1.Status{Code: 200} },
		"status without a code":  func(e *audit.Event) { e.ResponseStatus = &metav1.Status{} },
		"status with list meta": func(e *audit.Event) {
			e.ResponseStatus = &metav1.Status{Code: 200, ListMeta: metav1.ListMeta{Continue: "x"}}
		},
		"empty user":              func(e *audit.Event) { e.User = audit.UserInfo{} },
		"empty reference":         func(e *audit.Event) { e.ObjectRef = &audit.ObjectReference{} },
		"empty impersonated user": func(e *audit.Event) { e.ImpersonatedUser = &audit.UserInfo{} },
		"more keys than the stack holds": func(e *audit.Event) {
			for c := range 40 {
				e.Annotations[string(rune('a'+c))] = "x"
				e.User.Extra[string(rune('a'+c))] = []string{"x"}
			}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			e := fullEvent()
			change(&e)
			want, err := json.Marshal(&e)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(e.AppendJSON(nil))); diff != "" {
				t.Errorf("encoding differs (-library +ours):\n%s", diff)
			}
		})
	}
}

func FuzzEncoder(f *testing.F) {
	f.Add("alice", "\x00\x1f\b\f\n\r\t\"\\<>&\x7f\xff\u2028\u2029é\u202e", int64(0), int32(200), true)
	f.Add("", "\xe2\x80", int64(1<<40), int32(0), false)
	f.Fuzz(func(t *testing.T, a, b string, nanos int64, code int32, more bool) {
		e := audit.Event{
			Kind: a, APIVersion: b, Level: audit.Level(a), AuditID: b, Stage: audit.Stage(b), RequestURI: a + b, Verb: b,
			User:      audit.UserInfo{Username: a, UID: b, Groups: []string{a, b}, Extra: map[string][]string{a: {b}, b: nil}},
			SourceIPs: []string{b, a}, UserAgent: b,
			ResponseStatus:           &metav1.Status{Code: code},
			RequestReceivedTimestamp: metav1.NewMicroTime(time.Unix(0, nanos)),
			Annotations:              map[string]string{a: b, b: a, a + b: a},
		}
		if more {
			e.ImpersonatedUser = &audit.UserInfo{Username: b}
			e.ObjectRef = &audit.ObjectReference{Resource: a, Namespace: b, Name: a, UID: b, APIGroup: a, APIVersion: b, ResourceVersion: a, Subresource: b}
			e.ResponseStatus.Message, e.ResponseStatus.Reason = b, metav1.StatusReason(a)
		}
		want, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.AppendJSON(nil); string(got) != string(want) {
			t.Errorf("ours:    %s\nlibrary: %s", got, want)
		}
	})
}
