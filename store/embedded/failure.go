package embedded

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// failure is what etcd says before it gives up.
type failure struct{ message string }

// Error implements error.
func (f failure) Error() string { return f.message }

// failureLogger drops everything but what etcd cannot go on after, which becomes a panic. etcd would log it and
// exit or panic without a word to the rest of the process.
func failureLogger() *zap.Logger {
	return zap.New(zapcore.NewNopCore(), zap.WithFatalHook(failureHook{}), zap.WithPanicHook(failureHook{}))
}

type failureHook struct{}

// OnWrite implements zapcore.CheckWriteHook.
func (failureHook) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	panic(failure{describe(entry.Message, fields)})
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
