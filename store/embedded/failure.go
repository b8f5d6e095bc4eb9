package embedded

import (
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// failure is what etcd says before it gives up.
type failure struct{ message string }

// Error implements error.
func (f failure) Error() string { return f.message }

// failureHook gets what etcd cannot go on after. etcd itself would end the process without a word to the rest of it.
type failureHook struct {
	// started is set once the server runs. Before, a failure becomes a panic that Start recovers; after, it is raised
	// on one of etcd's own goroutines, where nobody could.
	started *atomic.Bool
	fatal   func(message string)
}

// logger drops everything but failures.
func (h failureHook) logger() *zap.Logger {
	return zap.New(zapcore.NewNopCore(), zap.WithFatalHook(h), zap.WithPanicHook(h))
}

// OnWrite implements zapcore.CheckWriteHook.
func (h failureHook) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	message := describe(entry.Message, fields)
	if h.started.Load() && h.fatal != nil {
		h.fatal(message)
	}
	panic(failure{message})
}

// describe puts a message and the errors among its fields on one line.
func describe(message string, fields []zapcore.Field) string {
	parts := []string{message}
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			parts = append(parts, err.Error())
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ": "), "\n", " ")
}
