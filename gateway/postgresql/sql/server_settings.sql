-- What the server does to keep what it says it has.
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
       current_setting('data_checksums');
