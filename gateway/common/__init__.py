"""Small parts that any other part may use: time, threads, files, text, bounded work. They know nothing of DICOM."""
