package eventrate

import (
	"errors"
	"fmt"
	"math"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Type says whose events share a limit.
type Type string

// Types of limits.
const (
	Server          Type = "Server"          // all events
	Namespace       Type = "Namespace"       // those in a namespace
	User            Type = "User"            // those of a user
	SourceAndObject Type = "SourceAndObject" // those of one source about one object
)

// Limit is a bucket of Burst events for each of its type, which fills by QPS events a second.
type Limit struct {
	Type Type `json:"type"`
	// QPS and Burst are at least 1.
	QPS   int32 `json:"qps"`
	Burst int32 `json:"burst"`
	// CacheSize bounds the number of buckets; 0 means 4,096. Who is forgotten begins with a full one. Server has one bucket.
	CacheSize int32 `json:"cacheSize"`
}

// maxCacheSize bounds what may be configured: a million buckets take some 200 MB.
const maxCacheSize = 1 << 20

// ParseConfig reads a Configuration of eventratelimit.admission.k8s.io/v1alpha1, strictly. There is at least one limit.
func ParseConfig(data []byte) ([]Limit, error) {
	var file struct {
		APIVersion string  `json:"apiVersion"`
		Kind       string  `json:"kind"`
		Limits     []Limit `json:"limits"`
	}
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	faults, err := kjson.UnmarshalStrict(data, &file)
	if err = errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	if file.Kind != "Configuration" || file.APIVersion != "eventratelimit.admission.k8s.io/v1alpha1" {
		return nil, fmt.Errorf("it is %s %s, want eventratelimit.admission.k8s.io/v1alpha1 Configuration", file.APIVersion, file.Kind)
	}
	if len(file.Limits) == 0 {
		return nil, errors.New("limits: must not be empty")
	}
	for i, l := range file.Limits {
		if err := l.check(); err != nil {
			return nil, fmt.Errorf("limits[%d].%w", i, err)
		}
	}
	return file.Limits, nil
}

func (l Limit) check() error {
	switch l.Type {
	case Server, Namespace, User, SourceAndObject:
	default:
		return fmt.Errorf("type: %q is none of Namespace, Server, SourceAndObject, User", l.Type)
	}
	for _, number := range []struct {
		name             string
		value, low, high int32
	}{{"qps", l.QPS, 1, math.MaxInt32}, {"burst", l.Burst, 1, math.MaxInt32}, {"cacheSize", l.CacheSize, 0, maxCacheSize}} {
		if number.value < number.low || number.value > number.high {
			return fmt.Errorf("%s: %d: want %d to %d", number.name, number.value, number.low, number.high)
		}
	}
	return nil
}
