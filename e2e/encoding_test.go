package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// encoding describes how a value in etcd is encoded and what it says it holds.
func encoding(value []byte) string {
	if raw, ok := bytes.CutPrefix(value, []byte("k8s\x00")); ok {
		var envelope runtime.Unknown
		if err := envelope.Unmarshal(raw); err != nil {
			return fmt.Sprintf("broken protobuf: %v", err)
		}
		return "protobuf " + envelope.APIVersion + " " + envelope.Kind + " " + envelope.ContentType
	}
	if scheme, ok := bytes.CutPrefix(value, []byte("k8s:enc:")); ok {
		name, _, _ := bytes.Cut(scheme, []byte(":"))
		return "encrypted with " + string(name)
	}
	var object struct{ APIVersion, Kind string }
	if err := json.Unmarshal(value, &object); err == nil {
		return "JSON " + object.APIVersion + " " + object.Kind
	}
	return "unknown"
}
